"""What rTorrent is told with a metafile: the order of commands is what keeps a failed load from being started."""

import pytest

from pyrotorque_watcher.load.flags import Load
from pyrotorque_watcher.load.marks import one_mark
from pyrotorque_watcher.load.plan import commands_for, globs, mapped, said, verb

MARK = b"d.custom.set=pyrotorque,abc"
TIE = b'd.tied_to_file.set="/w/x.torrent"'


def test_a_plain_load_is_tied_and_marked() -> None:
    assert commands_for(Load.START, "abc", TIE, []) == (TIE, MARK)


def test_an_item_that_is_held_has_its_priority_off() -> None:
    assert commands_for(Load.HOLD, "abc", None, []) == (b"d.priority.set=0", MARK)


def test_users_commands_run_between_an_incomplete_and_a_complete_mark_with_the_priority_off() -> None:
    users = [b"d.custom.set=a,b", b"d.directory.set=/x"]
    commands = commands_for(Load.QUEUE, "abc", TIE, users)
    assert commands == (MARK + b".", TIE, b"d.priority.set=0", *users, b"d.priority.set=2", MARK)


def test_the_priority_that_users_set_comes_last_instead_of_the_normal_one() -> None:
    commands = commands_for(Load.QUEUE, "abc", None, [b"d.priority.set=3", b"d.custom1.set=x"])
    assert commands == (MARK + b".", b"d.priority.set=0", b"d.custom1.set=x", b"d.priority.set=3", MARK)


def test_hold_beats_the_priority_that_users_set() -> None:
    commands = commands_for(Load.HOLD, "abc", None, [b"d.priority.set=3"])
    assert commands[-2:] == (b"d.priority.set=0", MARK)


@pytest.mark.parametrize(
    ("load", "quiet", "by_path", "name"),
    [
        (Load.START, False, False, "load.raw_start_verbose"),
        (Load.START, True, False, "load.raw_start"),
        (Load.QUEUE, False, False, "load.raw_verbose"),
        (Load.HOLD, True, False, "load.raw"),
        (Load.STOP, False, True, "load.verbose"),
        (Load.STOP, True, True, "load.normal"),
        (Load.START, False, True, "load.start_verbose"),
        (Load.START, True, True, "load.start"),
    ],
)
def test_only_an_unqueued_start_starts(load: Load, quiet: bool, by_path: bool, name: str) -> None:
    assert verb(load, quiet=quiet, by_path=by_path) == name


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
    assert globs(path)


def test_an_ordinary_path_is_taken_literally() -> None:
    assert not globs("/w/Ein schöner (Name) & mehr, 2020.torrent".encode())


@pytest.mark.parametrize(
    ("marks", "one"),
    [
        (["abc"], "abc"),
        ([None], None),
        (["abc", None], None),
        (["other", "abc"], "abc"),
        (["abc", "abc."], "abc."),
        (["other"], "other"),
        ([""], ""),
    ],
)
def test_the_items_of_one_file_are_judged_together(marks: list[str | None], one: str | None) -> None:
    assert one_mark(marks, "abc") == one


def test_a_line_for_rtorrents_log_comes_last_and_holds_no_name_as_it_is() -> None:
    say = said("films", 'a";execute.nothrow=touch,/x\n\x1b$\udcff', "started")
    assert commands_for(Load.START, "abc", TIE, [], say) == (TIE, MARK, say)
    assert say == rb'print="films: loaded a\";execute.nothrow=touch,/x\\n\\x1b$\\xff (started)"'
