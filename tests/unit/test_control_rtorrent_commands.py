"""What `check` reports of an rtorrent.rc whose commands the rTorrent of today does not have."""

import gzip
from pathlib import Path

import pytest

from pyrotorque.options import Options
from pyrotorque.rtorrent_version import version_of
from pyrotorque.settings import load
from pyrotorque_control.checks.removed_commands import removed_names, replacement
from pyrotorque_control.checks.rtorrent import RTorrentCheck
from pyrotorque_control.checks.rtorrent_commands import defined_in, outdated_commands
from pyrotorque_control.checks.rtorrent_rc import commands_that_fail, installed_version, unsafe_shell_commands
from tests.commanding import Command
from tests.rtorrent_samples import GOOD_RC, OLD_RC, OLDEST_RC

V0_9_8, V0_16_13, V0_16_17, V0_16_20 = (0, 9, 8), (0, 16, 13), (0, 16, 17), (0, 16, 20)


def names(rc: str, version: tuple[int, ...]) -> list[tuple[int, str]]:
    return [(found.line, found.name) for found in outdated_commands(rc, version)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("schedule2 = w, 5, 5, ((load.start, /w/*.torrent))", ["schedule2"]),
        ("  schedule2=w,5,5,load.start=/w/*.torrent", ["schedule2"]),
        ("# schedule2 = w,5,5,load.start=/w/*.torrent", []),
        ("schedule = tick,0,1800,ip=rakshasa", ["ip"]),
        ("schedule = tick,0,1800,((bind,rakshasa))", ["bind"]),
        ("schedule = ip, 0, 1800, ((network.local_address.set, 127.0.0.1))", []),
        ('method.set_key = event.download.finished, dht, ((execute2, "/bin/true"))', ["execute2"]),
        ('method.insert = my.log, simple, "file.append=~/log,$d.name="', ["file.append"]),
        (
            'method.insert = my.log, simple, {(file.append, "~/log", (d.name)), execute2=true}',
            ["file.append", "execute2"],
        ),
        ('method.insert = x, simple, "branch=d.complete=,\\"execute2=a\\",d.stop="', ["execute2"]),
        ('execute.nothrow = sh, -c, "ip=$(hostname -i); dht=1; echo $ip"', []),
        ('execute = sh, -c, "echo \\"$1\\"", sh, $get_ip=', []),
        ('execute = sh, -c, x, sh, "$group2.seeding.ratio.max="', ["group2.seeding.ratio.max"]),
        ("print = dht=, off", []),
        ("d.custom.set = ip, dht", []),
        ("group2.seeding.ratio.min.set = 100", ["group2.seeding.ratio.min.set"]),
        ("schedule2 = a,1,1,schedule2=b", ["schedule2"]),
        ("schedule2 = \\\n w,5,5,\\\n ((execute2, true))", ["schedule2", "execute2"]),
        ("trackers.use_udp.set = yes", ["trackers.use_udp.set"]),
        ("network.max_open_files.set = 600", ["network.max_open_files.set"]),
        ("dht.port.set = 6881", ["dht.port.set"]),
        ("network.port_range.set = 50000-50000", []),
        ("network.max_open_sockets.set = 300", ["network.max_open_sockets.set"]),
        ("network.max_open_sockets.set = 512", []),
        ("network.max_open_sockets.set = (my.sockets)", []),
        ("pieces.memory.max.set = 256M", []),
        ('catch = "network.http.max_open.set=50"', []),
        ("catch = {(schedule2, a, 1, 1, ((b)))}", []),
        ("encoding.add = utf8", ["encoding.add"]),
        ('log.add_output = "tracker_debug", "log"', ["tracker_debug"]),
        ('log.add_output = "info", "log"', []),
        ("not a command", []),
        ("a = (((((", []),
        ("a=" * 1000, []),
        ('"', []),
    ],
)
def test_commands_that_0_16_17_does_not_have_or_ignores(line: str, found: list[str]) -> None:
    assert [name for _, name in names(line, V0_16_17)] == found
    if "get_ip" not in line:
        assert names(line, V0_9_8) == []


@pytest.mark.parametrize(
    ("line", "nested"),
    [
        ('method.insert = x, simple, "branch=d.a=,d.b=,d.c=,d.e="', True),
        ('method.insert = x, simple, "branch=d.a=,d.b=,d.c="', False),
        ('method.insert = x, simple, "branch=d.a=,d.b=,\\"branch=d.c=,d.e=,d.f=\\""', False),
        ("method.insert = x, simple, ((branch, ((d.a)), ((d.b)), ((d.c)), ((d.e)), ((d.f))))", True),
        ("method.insert = x, simple, ((branch, ((d.a)), ((d.b)), ((d.c))))", False),
        ('method.insert = x, simple, "branch=not=(d.complete),d.b=1,d.c=(d.e)"', False),
        ('method.insert = x, simple, "branch=d.a=,{d.b=,d.c=},{d.e=,d.f=}"', False),
        ('method.insert = x, simple, "branch=d.a=,,d.c=,d.e="', True),
        ('method.insert = x, simple, "if=$d.a=,1,$d.c=,2,3"', True),
    ],
)
def test_else_if_pairs_of_a_branch_are_ignored_since_0_16_15(line: str, nested: bool) -> None:
    assert (len(names(line, (0, 16, 15))) == 1) is nested
    assert names(line, (0, 16, 14)) == []


@pytest.mark.parametrize(
    ("name", "version", "instead"),
    [
        ("port_random", (0, 16, 14), "network.port_random.set"),
        ("port_random", (0, 16, 18), "network.listen.port.random.set"),
        ("port_range", (0, 16, 19), "network.listen.port.range.set"),
        ("port_range", V0_16_20, "port_range"),
        ("proxy_address", V0_16_17, "network.proxy.http.set"),
        ("network.http.max_open.set", (0, 16, 14), "network.http.max_total_connections.set"),
        (
            "network.http.max_open.set",
            V0_16_17,
            "delete it, rTorrent derives the limit from network.max_open_sockets.set",
        ),
        ("use_udp_trackers", V0_16_17, "delete it"),
        ("use_udp_trackers", V0_9_8, "trackers.use_udp.set"),
        ("schedule_remove", (0, 15, 4), "schedule.remove"),
        ("d.get_name", V0_9_8, "d.name"),
        ("d.get_up_rate", V0_9_8, "d.up.rate"),
        ("d.set_custom1", V0_9_8, "d.custom1.set"),
    ],
)
def test_the_replacement_exists_in_the_same_version(name: str, version: tuple[int, ...], instead: str) -> None:
    assert replacement(name, version) == instead


@pytest.mark.parametrize(
    ("value", "small"),
    [("256M", True), ("511m", True), ("512M", False), ("1G", False), ("800000k", False), ("1", True)],
)
def test_0_16_18_needs_512_mib_of_memory(value: str, small: bool) -> None:
    found = [each.text for each in outdated_commands(f"pieces.memory.max.set = {value}", (0, 16, 18))]
    text = f"pieces.memory.max.set refuses {value} in rTorrent 0.16.18 (since 0.16.18): write 512M or more"
    assert found == ([text] if small else [])


def test_names_that_are_only_deprecated_are_not_reported() -> None:
    assert "schedule2" in removed_names((0, 16, 14))
    assert "schedule2" not in removed_names(V0_16_13)
    assert names("schedule2 = a,1,1,d.multicall2=main,d.name=", V0_16_13) == []


@pytest.mark.parametrize("version", [V0_9_8, (0, 15, 7), V0_16_13, (0, 16, 14), V0_16_17])
def test_no_false_alarm_for_a_file_that_works_everywhere(version: tuple[int, ...]) -> None:
    assert names(GOOD_RC, version) == []


def test_a_file_of_0_9_8_is_good_for_0_9_8_and_0_16_13() -> None:
    assert names(OLD_RC, V0_9_8) == []
    assert {name for _, name in names(OLD_RC, V0_16_13)} == {
        "tracker_debug", "dht.port.set", "dht_port", "schedule_remove", "network.max_open_sockets.set",
        "trackers.use_udp.set",
    }  # fmt: skip


def test_a_file_of_0_8_has_names_that_0_9_8_does_not_have() -> None:
    assert {name for _, name in names(OLDEST_RC, V0_9_8)} == {
        "load_start", "execute_nothrow", "system.method.set_key", "d.get_base_path", "peer_exchange",
        "use_udp_trackers",
    }  # fmt: skip


EXAMPLE = Path("/usr/share/doc/rtorrent/examples/rtorrent.rc.gz")


@pytest.mark.skipif(not EXAMPLE.exists(), reason="Debian's rtorrent is not installed")
def test_debians_example_with_all_of_its_lines_is_good_for_0_9_8() -> None:
    text = gzip.decompress(EXAMPLE.read_bytes()).decode()
    assert names(text, V0_16_17) == []
    enabled = "\n".join(line.lstrip("# ") if " = " in line else line for line in text.splitlines())
    assert names(enabled, V0_9_8) == []
    assert {name for _, name in names(enabled, V0_16_17)} == {
        "schedule2", "ip", "bind", "trackers.use_udp.set", "dht.port.set",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.9.8", (0, 9, 8)),
        ("0.16.17", (0, 16, 17)),
        ("Rakshasa's BitTorrent client version 0.9.8.\n", (0, 9, 8)),
        ("0.9.8-PS-1.1", (0, 9, 8)),
        ("unknown", None),
    ],
)
def test_a_version_is_read_from(text: str, version: tuple[int, ...] | None) -> None:
    assert version_of(text) == version


def test_a_command_that_the_file_defines_itself_is_good() -> None:
    assert defined_in("method.insert = schedule2, simple, x\nmethod.redirect=execute2,execute\n") == {
        "schedule2",
        "execute2",
    }


def fake_rtorrent(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/rtorrent").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin/rtorrent").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("script", "version"),
    [("echo 'client version 0.16.17.'", V0_16_17), ("exit 1", None), ("echo nothing", None)],
)
def test_the_installed_version_is_read_from_the_help(
    script: str, version: tuple[int, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_rtorrent(tmp_path, monkeypatch, script)
    assert installed_version() == version


def test_without_an_rtorrent_there_is_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_version() is None


def test_check_names_file_line_command_version_and_replacement_also_in_imported_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_rtorrent(tmp_path, monkeypatch, "echo 'client version 0.16.17.'")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".rtorrent.rc").write_text("# mine\nimport = ~/more.rc\nencoding.add = utf8\n")
    (tmp_path / "more.rc").write_text(
        "method.redirect = execute2, execute\nexecute2 = true\n\nschedule2 = a,1,1,remove_untied=\n"
    )
    pyrotorque = Command(tmp_path / "home", capsys).configured("[TORQUE]\nscgi_url = scgi:///nowhere.sock\n")
    ended = pyrotorque("check")
    assert ended.code == 0
    gone = "does not exist in rTorrent 0.16.17 (since 0.16.14)"
    assert ended.err.splitlines() == [
        f"warning: {tmp_path}/.rtorrent.rc:3: encoding.add {gone}: delete it",
        f"warning: {tmp_path}/more.rc:4: schedule2 {gone}: write schedule",
    ]


@pytest.mark.parametrize(
    ("version", "deprecated", "warnings"), [("0.9.8", False, 0), ("0.16.17", False, 1), ("0.16.17", True, 0)]
)
def test_the_running_rtorrent_counts_before_the_installed_one_and_may_accept_deprecated_commands(
    version: str,
    deprecated: bool,
    warnings: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_rtorrent(tmp_path, monkeypatch, "echo 'client version 0.16.20.'")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".rtorrent.rc").write_text("schedule2 = a,1,1,remove_untied=\n")
    running = RTorrentCheck(url="scgi:///x", answers=True, version=version, accepts_deprecated=deprecated)

    def check_rtorrent(_settings: object, _group: object) -> RTorrentCheck:
        return running

    monkeypatch.setattr("pyrotorque_control.checks.report.check_rtorrent", check_rtorrent)
    pyrotorque = Command(tmp_path / "home", capsys).configured("[TORQUE]\nscgi_url = scgi:///x\n")
    assert pyrotorque("check").err.count(f"schedule2 does not exist in rTorrent {version}") == warnings


def test_a_file_that_imports_itself_ends(tmp_path: Path) -> None:
    (tmp_path / ".rtorrent.rc").write_text(f"import = {tmp_path}/.rtorrent.rc\nschedule2 = a,1,1,b=\n")
    (tmp_path / "torque.ini").write_text("[TORQUE]\n")
    settings = load(tmp_path, Options()).settings
    assert len(list(commands_that_fail(settings, tmp_path, V0_16_17))) == 1


def test_an_unsafe_shell_command_is_found_in_an_imported_file(tmp_path: Path) -> None:
    (tmp_path / ".rtorrent.rc").write_text(f"import = {tmp_path}/more.rc\n")
    (tmp_path / "more.rc").write_text('execute = sh, -c, "rm $d.base_path="\n')
    (tmp_path / "torque.ini").write_text("[TORQUE]\n")
    (warning,) = unsafe_shell_commands(load(tmp_path, Options()).settings, tmp_path)
    assert warning.startswith(f"{tmp_path}/more.rc:1: ")


def test_check_warns_of_remove_untied_beside_a_handler_that_runs_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both together remove the data of every item while only the watch folder is not mounted."""
    fake_rtorrent(tmp_path, monkeypatch, "echo 'client version 0.9.8.'")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".rtorrent.rc").write_text("# remove_untied\nimport = ~/more.rc\n")
    (tmp_path / "more.rc").write_text("schedule2 = untied,5,5,remove_untied=\n")
    handlers: tuple[str, ...] = ("rm_data: execute=rm,-rf,$d.base_path=",)

    def check_rtorrent(_settings: object, _group: object) -> RTorrentCheck:
        return RTorrentCheck(url="scgi:///x", answers=True, version="0.9.8", erased_handlers=handlers)

    monkeypatch.setattr("pyrotorque_control.checks.report.check_rtorrent", check_rtorrent)
    pyrotorque = Command(tmp_path / "home", capsys).configured("[TORQUE]\nscgi_url = scgi:///x\n")
    warned = [line for line in pyrotorque("check").err.splitlines() if "remove_untied" in line]
    assert len(warned) == 1
    assert warned[0].startswith(
        f"warning: {tmp_path}/more.rc:1: remove_untied erases each item whose metafile is missing"
    )
    assert "runs `rm_data: execute=rm,-rf,$d.base_path=`" in warned[0]
    handlers = ()
    assert "remove_untied" not in pyrotorque("check").err
