"""`pyrotorque init` and the include: a directory to begin with, and the line that rTorrent gets."""

from pathlib import Path

import pytest

from pyrotorque.options import Options
from pyrotorque.settings import load, packaged_text
from pyrotorque.settings.discovery import ListeningAddress
from pyrotorque_control.lifecycle import update_generated_files
from pyrotorque_control.panel_groups import panel_of_another
from pyrotorque_control.rtorrent_include import import_path, include_text
from tests.commanding import Command


@pytest.fixture
def pyrotorque(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path / "home", capsys)


def test_init_writes_a_directory_that_passes_check_and_overwrites_nothing(pyrotorque: Command) -> None:
    first = pyrotorque("init")
    assert first.code == 0
    names = ("torque.ini", "torque.ini.default", "rtorrent.d/torque.rc.default", "supervisor.conf", "run/pyrotorque")
    for name in names:
        assert f"written  {pyrotorque.home / name}" in first.out
    assert f"import = {pyrotorque.home / 'rtorrent.d/torque.rc.default'}" in first.out
    assert pyrotorque("check").code == 0
    (pyrotorque.home / "torque.ini").write_text("mine")
    second = pyrotorque("init")
    assert second.out.count("kept     ") == len(names)
    assert (pyrotorque.home / "torque.ini").read_text() == "mine"


@pytest.mark.parametrize(
    ("rc", "hint"),
    [("network.scgi.open_local = /run/rt.sock\n", False), ("directory.default.set = /data\n", None)],
)
def test_init_says_how_rtorrent_can_be_reached_where_nothing_says_that_it_can(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rc: str, hint: bool | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".rtorrent.rc").write_text(rc)
    # Another test's rTorrent may be listening just now.
    monkeypatch.setattr("pyrotorque.settings.discovery.listening_rtorrents", lambda: iter(()))
    wanted = hint is None
    out = pyrotorque("init").out
    assert ("network.scgi.open_local = (cat,(session.path),rpc.socket)" in out) is wanted
    assert f"Add this line to {tmp_path}/.rtorrent.rc" in out
    if hint is False:
        assert f"rTorrent: listens at scgi:///run/rt.sock (from {tmp_path}/.rtorrent.rc)" in out


def test_init_writes_the_socket_of_the_running_rtorrent_where_no_file_names_it(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = [ListeningAddress("scgi:///s/50%.sock", 77), ListeningAddress("scgi://127.0.0.1:6881", 77)]
    monkeypatch.setattr("pyrotorque.settings.discovery.listening_rtorrents", lambda: iter(seen))
    assert "rTorrent: listens at scgi:///s/50%.sock (from process 77)" in pyrotorque("init").out
    assert load(pyrotorque.home, Options()).settings.rtorrent.url == "scgi:///s/50%.sock"


OTHERS = "the rtorrent.rc of the rTorrent "


@pytest.mark.parametrize(
    ("rc", "torque", "named"),
    [
        ("network.scgi.open_local = /a.sock\n", None, "{rc}"),
        ("network.scgi.open_local = /a.sock\n", "scgi_url = scgi:///a.sock\n", "{rc}"),
        ("network.scgi.open_local = /a.sock\n", "scgi_url = scgi:///b.sock\n", OTHERS + "at scgi:///b.sock"),
        ("scgi_port = 127.0.0.1:5000\n", "scgi_url = scgi:///b.sock\n", OTHERS + "at scgi:///b.sock"),
        ("", "scgi_url = scgi:///b.sock\n", "{rc}"),
        ("import = {first}\nnetwork.scgi.open_local = /a.sock\n", None, OTHERS + "that this group is for"),
        ('try_import = "{first}"\n', "job.queue.active = True\n", OTHERS + "that this group is for"),
        ("import = ~/.pyroscope/rtorrent.d/torque.rc.default\n", None, OTHERS + "that this group is for"),
        ("# import = {first}\nnetwork.scgi.open_local = /a.sock\n", None, "{rc}"),
        ("import = {own}\nnetwork.scgi.open_local = /a.sock\n", None, "{rc}"),
    ],
)
def test_init_never_names_the_rtorrent_rc_of_the_rtorrent_of_another_group(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rc: str, torque: str | None, named: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("pyrotorque.settings.discovery.listening_rtorrents", lambda: iter(()))
    include = "rtorrent.d/torque.rc.default"
    name = tmp_path / ".rtorrent.rc"
    name.write_text(rc.format(first=tmp_path / ".pyroscope" / include, own=pyrotorque.home / include))
    if torque is not None:
        pyrotorque.home.mkdir()
        (pyrotorque.home / "torque.ini").write_text(f"[TORQUE]\n{torque}")
    out = pyrotorque("init").out
    assert f"Add this line to {named.format(rc=name)}, and restart rTorrent:" in out
    assert ("set scgi_url in torque.ini" in out) == ("that this group" in named)
    if torque and "scgi_url" in torque:
        assert f"rTorrent: listens at {torque.split()[-1]} (from torque.ini:2)" in out


@pytest.mark.parametrize(
    ("listening", "others"),
    [
        ([("scgi:///a.sock", 7), ("scgi:///b.sock", 8), ("scgi://127.0.0.1:6881", 8)], "scgi:///b.sock"),
        ([("scgi:///b.sock", 8), ("scgi:///c.sock", 9)], "scgi:///b.sock, scgi:///c.sock"),
        ([("scgi:///a.sock", 7), ("scgi:///a2.sock", 7), ("scgi://127.0.0.1:6881", 9)], ""),
    ],
)
def test_init_says_what_to_do_for_another_rtorrent_that_runs(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: list[tuple[str, int]], others: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".rtorrent.rc").write_text("network.scgi.open_local = /a.sock\n")
    seen = [ListeningAddress(url, pid) for url, pid in listening]
    monkeypatch.setattr("pyrotorque.settings.discovery.listening_rtorrents", lambda: iter(seen))
    out = pyrotorque("init").out
    assert (f"Other rTorrents of this user listen at {others}. If this group is for one" in out) == bool(others)
    assert ("to its rtorrent.rc instead" in out) == bool(others)


def test_init_names_no_file_where_several_rtorrents_run_and_none_is_configured(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = [ListeningAddress(f"scgi:///{name}.sock", pid) for pid, name in ((7, "a"), (8, "b"))]
    monkeypatch.setattr("pyrotorque.settings.discovery.listening_rtorrents", lambda: iter(seen))
    out = pyrotorque("init").out
    assert f"Add this line to {OTHERS}that this group is for, and" in out
    assert "scgi:///a.sock, scgi:///b.sock" in out


def test_the_first_group_of_a_user_gets_a_panel_and_the_second_is_named_there(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(short_folder))
    monkeypatch.setattr("pyrotorque_control.panel_groups.PROC", short_folder / "proc")
    (short_folder / "proc").mkdir()
    first = Command(short_folder / ".pyroscope", capsys)
    assert first("init").code == 0
    assert load(first.home, Options()).settings.panel.active
    second = Command(short_folder / ".pyroscope-50%", capsys)
    assert second("init").code == 0
    text = (second.home / "torque.ini").read_text()
    assert f"# The panel of {first.home} can show this group, too" in text
    assert not load(second.home, Options()).settings.panel.active
    assert second("check").code == 0


def test_a_running_panel_elsewhere_counts_unless_it_is_of_another_program(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (tmp_path / "proc/7").mkdir(parents=True)
    words = tmp_path / "proc/7/cmdline"
    words.write_bytes(b"python\0-m\0pyrotorque_panel\0--config-dir\0" + bytes(there) + b"\0")
    assert panel_of_another(here, tmp_path / "proc") == there
    assert panel_of_another(there, tmp_path / "proc") is None
    words.write_bytes(b"vi\0pyrotorque_panel.py\0--config-dir\0" + bytes(there) + b"\0")
    assert panel_of_another(here, tmp_path / "proc") is None
    words.write_bytes(b"python\0-m\0pyrotorque_panel\0--config-dir")
    assert panel_of_another(here, tmp_path / "proc") is None


def test_the_line_for_rtorrent_is_quoted_where_its_path_needs_that(tmp_path: Path) -> None:
    assert import_path(Path("/home/me/.pyroscope")) == "/home/me/.pyroscope/rtorrent.d/torque.rc.default"
    assert import_path(Path('/a, "b";')) == '"/a, \\"b\\";/rtorrent.d/torque.rc.default"'


def test_a_start_updates_the_generated_files(tmp_path: Path) -> None:
    (tmp_path / "rtorrent.d").mkdir()
    include = tmp_path / "rtorrent.d/torque.rc.default"
    include.write_text("of an older version")
    update_generated_files(tmp_path)
    assert include.read_text() == include_text(tmp_path)
    assert (tmp_path / "torque.ini.default").read_text() == packaged_text()


@pytest.mark.parametrize("name", ["plain", "with a blank", 'quo"te', "com,ma", "semi;colon", "back\\slash"])
def test_the_include_quotes_the_directory(tmp_path: Path, name: str) -> None:
    found = include_text(tmp_path / name)
    quoted = str(tmp_path / name).replace("\\", "\\\\").replace('"', '\\"')
    assert f'"--config-dir", "{quoted}"))' in found
    assert "{" not in found.partition("schedule = ")[2]
