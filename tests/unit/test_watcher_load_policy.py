"""Flags in paths and the load matrix: what the manual's examples say, and what is not a flag."""

import pytest

from pyrotorque_watcher.load.plan import InitialState, LoadPolicy, initial_state, path_flags

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
    ("mode", "queued", "flags", "state"),
    [
        ("normal", False, "", InitialState.STOP),
        ("start", False, "", InitialState.START),
        ("started", False, "", InitialState.START),
        ("whatever", False, "", InitialState.STOP),
        ("normal", True, "", InitialState.HOLD),
        ("start", True, "", InitialState.QUEUE),
        ("normal", False, "start", InitialState.START),
        ("start", False, "load", InitialState.STOP),
        ("start", True, "load", InitialState.HOLD),
        ("normal", True, "start", InitialState.QUEUE),
        ("normal", False, "start load", InitialState.START),
        ("normal", False, "queue", InitialState.HOLD),
        ("start", False, "queued", InitialState.QUEUE),
        ("normal", False, "queue start", InitialState.QUEUE),
    ],
)
def test_the_load_matrix(mode: str, queued: bool, flags: str, state: InitialState) -> None:
    assert initial_state(LoadPolicy(mode, queued), frozenset(flags.split())) is state


def test_the_mode_of_events_is_one_of_three() -> None:
    assert [state.mode for state in InitialState] == ["start", "queued", "normal", "normal"]
