"""Whether the include on the disk was edited, and what `check` and `init --refresh-include` do with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

import pyrotorque as package
from pyrotorque_control.rtorrent_include import (
    IncludeState,
    check_include,
    include_file,
    include_text,
    include_warning,
    own_command,
)
from tests.commanding import Command

VERSION_1_0_0 = (Path(package.__file__).parent / "defaults/torque-1.0.0.rc").read_text()


@pytest.fixture
def pyrotorque(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    folder = tmp_path / "home"
    (folder / "rtorrent.d").mkdir(parents=True)
    (folder / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi:///nowhere.sock\n")
    return Command(folder, capsys)


def moved(text: str) -> str:
    """The include as another installation in another directory wrote it."""
    return (
        text.replace("{include}", '"/old place/.pyroscope/rtorrent.d/torque.rc.default"')
        .replace("{command}", '"/old \\"venv\\"/bin/python", "-m", "pyrotorque_control"')
        .replace("{config_dir}", '"/old place/.pyroscope"')
        .replace("{bell}", '"/old place/.pyroscope/run/bell"')
    )


def of_1_0_0(config_dir: Path) -> str:
    (command,) = own_command()[:1]
    return (
        VERSION_1_0_0.replace("{include}", str(include_file(config_dir)))
        .replace("{command}", f'"{command}"')
        .replace("{config_dir}", f'"{config_dir}"')
        .replace("{bell}", f'"{config_dir}/run/bell"')
    )


def one_bell_elsewhere(config_dir: Path) -> str:
    return include_text(config_dir).replace("/run/bell", "/run/other", 1)


UNEDITED: list[tuple[str, Callable[[Path], str], IncludeState]] = [
    ("1.0.0's", of_1_0_0, IncludeState.OUTDATED),
    ("1.0.0's with other paths", lambda _: moved(VERSION_1_0_0), IncludeState.OUTDATED),
    (
        "this version's with other paths",
        lambda folder: include_text(folder / "elsewhere"),
        IncludeState.OTHER_PATHS,
    ),
]
EDITED: list[tuple[str, Callable[[Path], str]]] = [
    ("one comment more", lambda folder: include_text(folder) + "# mine\n"),
    ("one comment more in 1.0.0's", lambda folder: "# mine\n" + of_1_0_0(folder)),
    ("another interval of the watchdog", lambda folder: include_text(folder).replace("30, 300", "30, 60")),
    ("another interval in 1.0.0's", lambda folder: of_1_0_0(folder).replace("30, 300", "30, 60")),
    (
        "one more option in the watchdog",
        lambda folder: include_text(folder).replace('"--cron"', '"--cron", "--verbose"'),
    ),
    ("one bell elsewhere", one_bell_elsewhere),
    ("CRLF", lambda folder: include_text(folder).replace("\n", "\r\n")),
    ("no final line end", lambda folder: include_text(folder).rstrip("\n")),
    ("empty", lambda _: ""),
    ("not UTF-8", lambda folder: include_text(folder) + "# \udcff\n"),
]


@pytest.mark.parametrize(("text", "state"), [each[1:] for each in UNEDITED], ids=[each[0] for each in UNEDITED])
def test_an_include_that_was_not_edited_is_replaced(
    pyrotorque: Command, text: Callable[[Path], str], state: IncludeState
) -> None:
    include = include_file(pyrotorque.home)
    include.write_text(text(pyrotorque.home))
    assert check_include(pyrotorque.home).state is state
    assert "run `pyrotorque init --refresh-include`, then restart rTorrent" in pyrotorque("check").err
    ended = pyrotorque("init", "--refresh-include")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"written  {include}\nRestart rTorrent to apply it.\n"
    assert include.read_text() == include_text(pyrotorque.home)
    assert pyrotorque("check").err == ""
    assert pyrotorque("init", "--refresh-include").out == f"kept     {include}: it is current\n"


@pytest.mark.parametrize("text", [each[1] for each in EDITED], ids=[each[0] for each in EDITED])
def test_an_edited_include_is_not_changed_and_the_difference_is_shown(
    pyrotorque: Command, text: Callable[[Path], str]
) -> None:
    include = include_file(pyrotorque.home)
    content = text(pyrotorque.home).encode("utf-8", "surrogateescape")
    include.write_bytes(content)
    warned = pyrotorque("check")
    assert (warned.code, warned.err.count("was edited")) == (0, 1)
    ended = pyrotorque("init", "--refresh-include")
    assert ended.code == 78
    assert ended.out.startswith(f"--- {include}\n+++ pyrotorque's include\n@@ ")
    assert "was edited and is not changed" in ended.err
    assert include.read_bytes() == content
    assert list(include.parent.iterdir()) == [include]


def test_the_difference_shows_control_characters_escaped(pyrotorque: Command) -> None:
    include_file(pyrotorque.home).write_text(include_text(pyrotorque.home) + "# \x1b[2J\n")
    assert "-# \\x1b[2J\n" in pyrotorque("init", "--refresh-include").out


def test_a_missing_include_is_written_and_nothing_else(pyrotorque: Command) -> None:
    assert include_warning(pyrotorque.home) is None
    before = sorted(pyrotorque.home.rglob("*"))
    ended = pyrotorque("init", "--refresh-include")
    assert (ended.code, include_file(pyrotorque.home).read_text()) == (0, include_text(pyrotorque.home))
    assert sorted(pyrotorque.home.rglob("*")) == sorted([*before, include_file(pyrotorque.home)])


def test_a_link_stays_a_link_and_its_target_is_replaced(pyrotorque: Command, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.rc"
    target.write_text(of_1_0_0(pyrotorque.home))
    include_file(pyrotorque.home).symlink_to(target)
    assert pyrotorque("init", "--refresh-include").code == 0
    assert include_file(pyrotorque.home).is_symlink()
    assert target.read_text() == include_text(pyrotorque.home)


def test_a_folder_in_its_place_is_an_error(pyrotorque: Command) -> None:
    include_file(pyrotorque.home).mkdir()
    assert "cannot be read: Is a directory" in pyrotorque("check").err
    ended = pyrotorque("init", "--refresh-include")
    assert (ended.code, "cannot read" in ended.problem) == (78, True)


def test_an_include_that_may_not_be_read_is_an_error(pyrotorque: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    include = include_file(pyrotorque.home)
    include.write_text("mine")
    read = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path == include:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    ended = pyrotorque("init", "--refresh-include")
    assert (ended.code, "Permission denied" in ended.problem) == (78, True)
    assert include.read_text() == "mine"


def test_an_include_in_a_place_that_cannot_be_written_is_an_error(pyrotorque: Command) -> None:
    include_file(pyrotorque.home).symlink_to(f"/proc/self/{'nowhere'}/torque.rc")
    ended = pyrotorque("init", "--refresh-include")
    assert (ended.code, "cannot write" in ended.problem) == (78, True)


def test_init_keeps_an_outdated_include_and_warns(pyrotorque: Command) -> None:
    include_file(pyrotorque.home).write_text(of_1_0_0(pyrotorque.home))
    ended = pyrotorque("init")
    assert f"kept     {include_file(pyrotorque.home)}" in ended.out
    assert "was written by an earlier version" in ended.err
    assert include_file(pyrotorque.home).read_text() == of_1_0_0(pyrotorque.home)
