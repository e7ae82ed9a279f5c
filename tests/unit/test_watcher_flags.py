"""Flags in paths and the load matrix: what the manual's examples say, and what is not a flag."""

import pytest

from pyrotorque_watcher.load.flags import Load, Wanted, load_for, path_flags

ROOT = b"/home/start/watch"


@pytest.mark.parametrize(
    ("path", "flags"),
    [
        (b"tv/foo.torrent", set()),
        (b"tv/start/foo.torrent", {"start"}),
        (b"movies/foo.start.torrent", {"start"}),
        (b"tv/load/foo.torrent", {"load"}),
        (b"movies/foo.load.torrent", {"load"}),
        (b"tv/queue/foo.torrent", {"queue"}),
        (b"movies/foo.queued.torrent", {"queued"}),
        (b"start/load/foo.torrent", {"start", "load"}),
        (b"start.torrent", {"start"}),
        (b"restart/The.Starting.torrent", set()),
        (b"Start/foo.torrent", set()),
        (b"caf\xe9/queue/\xff.load.torrent", {"queue", "load"}),
    ],
)
def test_flags_are_folders_and_dotted_parts_below_the_root(path: bytes, flags: set[str]) -> None:
    assert path_flags(ROOT + b"/" + path, ROOT) == flags


def test_a_root_with_a_slash_at_its_end_hides_no_letter() -> None:
    assert path_flags(b"/w/start/x.torrent", b"/w/") == {"start"}


@pytest.mark.parametrize(
    ("mode", "queued", "flags", "load"),
    [
        ("normal", False, "", Load.STOP),
        ("start", False, "", Load.START),
        ("started", False, "", Load.START),
        ("whatever", False, "", Load.STOP),
        ("normal", True, "", Load.HOLD),
        ("start", True, "", Load.QUEUE),
        ("normal", False, "start", Load.START),
        ("start", False, "load", Load.STOP),
        ("start", True, "load", Load.HOLD),
        ("normal", True, "start", Load.QUEUE),
        ("normal", False, "start load", Load.START),
        ("normal", False, "queue", Load.HOLD),
        ("start", False, "queued", Load.QUEUE),
        ("normal", False, "queue start", Load.QUEUE),
    ],
)
def test_the_load_matrix(mode: str, queued: bool, flags: str, load: Load) -> None:
    assert load_for(Wanted(mode, queued), frozenset(flags.split())) is load


def test_the_mode_that_events_tell_is_one_of_three() -> None:
    assert [load.mode for load in Load] == ["start", "queued", "normal", "normal"]
