"""Other groups that run on the same rTorrent: those that the scheduler found, and those in the mark that run here."""

from collections.abc import Iterator
from pathlib import Path

from pyrotorque.layout import Layout
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import RECORD_NAME, KnownSession, decode_record
from pyrotorque.rtorrent.session import Session
from pyrotorque.rtorrent.session_mark import read_mark
from pyrotorque_control.group import Group


def sharing_groups(rtorrent: RTorrent, group: Group) -> tuple[str, ...]:
    """The groups, by their configuration directory. Raises RTorrentError."""
    record = _record(group.layout) if group.running() else None
    known = record.shared_with if record else ()
    return tuple(dict.fromkeys((*known, *_running_here(rtorrent, group))))


def _running_here(rtorrent: RTorrent, group: Group) -> Iterator[str]:
    """An entry alone proves nothing: its group runs here, and this is its session, too."""
    session = Session()
    session.locate(rtorrent, rtorrent.identity())
    mark = read_mark(session.folder) if session.folder else None
    for use in mark.uses.values() if mark else ():
        other = Group(Path(use.home))
        if other.config_dir.resolve() == group.config_dir.resolve() or other.running() is None:
            continue
        record = _record(other.layout)
        if mark is not None and record is not None and record.facts.mark == mark.name:
            yield use.home


def _record(layout: Layout) -> KnownSession | None:
    try:
        return decode_record(read_regular_file(layout.state_dir / RECORD_NAME, limit=RECORDS_MAX))
    except OSError:
        return None
