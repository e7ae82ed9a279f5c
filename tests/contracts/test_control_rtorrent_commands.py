"""The table of removed commands agrees with the real rTorrent, and files fail where `check` reports it."""

import re
from pathlib import Path

import pytest

from demo.group import free_port
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent_version import version_of
from pyrotorque_control.checks.removed_commands import removed_names
from pyrotorque_control.checks.rtorrent_commands import outdated_commands
from pyrotorque_control.checks.rtorrent_rc import installed_version
from tests.rtorrent_samples import GOOD_RC, OLD_RC, OLDEST_RC

pytestmark = pytest.mark.usefixtures("rtorrent_program")


def version() -> tuple[int, ...]:
    found = installed_version()
    assert found is not None
    return found


def corrected(rc: str) -> str:
    """The file after what `check` advises, applied from the last line to the first."""
    lines = rc.splitlines()
    for found in reversed(list(outdated_commands(rc, version()))):
        _, _, advice = found.text.rpartition(": ")
        line = lines[found.line - 1]
        if advice.endswith(" or more"):
            lines[found.line - 1] = f"{found.name} = {advice.split()[1]}"
        elif advice.startswith("write ") and "…" not in advice:
            name = re.escape(found.name)
            lines[found.line - 1] = re.sub(rf"(?<![\w.]){name}(?![\w.])", advice.removeprefix("write "), line)
        else:
            lines[found.line - 1] = ""
    return "\n".join(lines)


def first_failing_line(folder: Path, rc: str) -> tuple[int, str] | None:
    """The line of the file at which rTorrent refuses to start, with its message; None if it starts."""
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "sample.rc").write_text(rc.replace("50000-50000", f"{port}-{port + 100}"))
    rtorrent = PrivateRTorrent(folder / "rt", extra_rc=f'import = "{folder / "sample.rc"}"')
    try:
        rtorrent.start()
    except RuntimeError as error:
        if found := re.search(r"sample\.rc:(\d+): ([^\n]*)", str(error)):
            return int(found[1]), found[2]
        raise
    finally:
        rtorrent.kill()
    return None


def test_the_table_agrees_with_the_commands_of_the_real_one(short_folder: Path) -> None:
    with PrivateRTorrent(short_folder / "rt") as rtorrent:
        client = RTorrent(rtorrent.url)
        assert version_of(client.identity().client_version) == version()
        methods = set(client.methods())
    gone = removed_names(version())
    assert [name for name in gone if name in methods] == []
    assert [new for new in gone.values() if new not in methods and not new.startswith("delete it")] == []


def test_a_good_file_starts_and_is_not_reported(short_folder: Path) -> None:
    assert list(outdated_commands(GOOD_RC, version())) == []
    assert first_failing_line(short_folder / "a", GOOD_RC) is None


@pytest.mark.parametrize("rc", [OLD_RC, OLDEST_RC], ids=["of 0.9.8", "of 0.8"])
def test_an_old_file_fails_at_the_lines_that_check_reports(rc: str, short_folder: Path) -> None:
    reported = [found.line for found in outdated_commands(rc, version()) if "has no effect" not in found.text]
    lines = rc.splitlines()
    failing: list[int] = []
    while found := first_failing_line(short_folder / str(len(failing)), "\n".join(lines)):
        failing.append(found[0])
        lines[found[0] - 1] = ""
    assert failing[:1] == reported[:1]
    # Commands in schedules and events fail when they run.
    assert set(failing) <= set(reported)


@pytest.mark.parametrize("rc", [OLD_RC, OLDEST_RC], ids=["of 0.9.8", "of 0.8"])
def test_an_old_file_starts_after_the_advice_was_followed(rc: str, short_folder: Path) -> None:
    better = corrected(rc)
    assert list(outdated_commands(better, version())) == []
    assert first_failing_line(short_folder / "a", better) is None


@pytest.mark.rtorrent_version(">=0.16.15", reason="earlier ones take else-if pairs")
def test_an_else_if_pair_is_ignored_as_check_reports(short_folder: Path) -> None:
    pairs = 'method.insert = pairs, simple, "branch=not=1,cat=a,not=1,cat=b,cat=c"\n'
    nested = 'method.insert = nested, simple, "branch=not=1,cat=a,\\"branch=not=1,cat=b,cat=c\\""\n'
    assert [found.name for found in outdated_commands(pairs + nested, version())] == ["branch"]
    with PrivateRTorrent(short_folder / "rt", extra_rc=pairs + nested) as rtorrent:
        client = RTorrent(rtorrent.url)
        assert client.call("nested") == "c"
        assert client.call("pairs") != "c"
