"""What rTorrent gets with a metafile: the order of commands keeps a failed load from being started."""

import pytest

from pyrotorque.rtorrent.path_patterns import is_pattern
from pyrotorque_watcher.load.plan import InitialState, commands_for, load_command, log_line
from pyrotorque_watcher.load.rtorrent_items import ItemState, item_state
from pyrotorque_watcher.load.visibility import mapped

MARK = b"d.custom.set=pyrotorque,abc"
TIE = b'd.tied_to_file.set="/w/x.torrent"'


def test_a_plain_load_is_tied_and_marked() -> None:
    assert commands_for(InitialState.START, "abc", TIE, []) == (TIE, MARK)


def test_an_item_that_is_held_has_its_priority_off() -> None:
    assert commands_for(InitialState.HOLD, "abc", None, []) == (b"d.priority.set=0", MARK)


def test_users_commands_run_between_an_incomplete_and_a_complete_mark_with_the_priority_off() -> None:
    users = [b"d.custom.set=a,b", b"d.directory.set=/x"]
    commands = commands_for(InitialState.QUEUE, "abc", TIE, users)
    assert commands == (MARK + b".", TIE, b"d.priority.set=0", *users, b"d.priority.set=2", MARK)


def test_the_priority_that_users_set_comes_last_instead_of_the_normal_one() -> None:
    commands = commands_for(InitialState.QUEUE, "abc", None, [b"d.priority.set=3", b"d.custom1.set=x"])
    assert commands == (MARK + b".", b"d.priority.set=0", b"d.custom1.set=x", b"d.priority.set=3", MARK)


def test_hold_overrides_the_priority_that_users_set() -> None:
    commands = commands_for(InitialState.HOLD, "abc", None, [b"d.priority.set=3"])
    assert commands[-2:] == (b"d.priority.set=0", MARK)


@pytest.mark.parametrize(
    ("state", "quiet", "by_path", "name"),
    [
        (InitialState.START, False, False, "load.raw_start_verbose"),
        (InitialState.START, True, False, "load.raw_start"),
        (InitialState.QUEUE, False, False, "load.raw_verbose"),
        (InitialState.HOLD, True, False, "load.raw"),
        (InitialState.STOP, False, True, "load.verbose"),
        (InitialState.STOP, True, True, "load.normal"),
        (InitialState.START, False, True, "load.start_verbose"),
        (InitialState.START, True, True, "load.start"),
    ],
)
def test_only_an_unqueued_start_starts(state: InitialState, quiet: bool, by_path: bool, name: str) -> None:
    assert load_command(state, quiet=quiet, by_path=by_path) == name


@pytest.mark.parametrize(
    ("path", "theirs"),
    [
        (b"/w/a/x.torrent", b"/data/a/x.torrent"),
        (b"/w/tv/x.torrent", b"/tv/x.torrent"),
        (b"/watch/x.torrent", b"/watch/x.torrent"),
        (b"/w", b"/data"),
        (b"/w/\xff.torrent", b"/data/\xff.torrent"),
    ],
)
def test_the_longest_fitting_prefix_is_mapped(path: bytes, theirs: bytes) -> None:
    assert mapped(path, (("/w", "/data"), ("/w/tv/", "/tv"))) == theirs


@pytest.mark.parametrize(
    "path", [b"/w/[a].torrent", b"/w/a?.torrent", b"/w/*.torrent", b"~/x", b"magnet:?xt", b"/a\\b"]
)
def test_a_path_that_rtorrent_would_expand_is_known(path: bytes) -> None:
    assert is_pattern(path)


def test_an_ordinary_path_is_taken_literally() -> None:
    assert not is_pattern("/w/Ein schöner (Name) & mehr, 2020.torrent".encode())


@pytest.mark.parametrize(
    ("marks", "state"),
    [
        (["abc"], ItemState.LOADED),
        ([None], ItemState.ABSENT),
        (["abc", None], ItemState.ABSENT),
        (["other", "abc"], ItemState.LOADED),
        (["abc", "abc."], ItemState.BROKEN),
        (["other"], ItemState.FOREIGN),
        ([""], ItemState.FOREIGN),
    ],
)
def test_the_items_of_one_file_are_judged_together(marks: list[str | None], state: ItemState) -> None:
    assert item_state(marks, "abc") is state


def test_a_line_for_rtorrents_log_comes_last_and_holds_no_name_as_it_is() -> None:
    line = log_line("films", 'a";execute.nothrow=touch,/x\n\x1b$\udcff', "started")
    assert commands_for(InitialState.START, "abc", TIE, [], line) == (TIE, MARK, line)
    assert line == rb'print="films: loaded a\";execute.nothrow=touch,/x\\n\\x1b$\\xff (started)"'
