"""Gives a restored item what rTorrent keeps in its resume data: trackers that were added or disabled, deselected files.

Its metafile alone has none of this: a tracker that was replaced would be back, and deselected files be downloaded.
"""

from collections.abc import Mapping
from typing import Any, Final

from pyrotorque.rtorrent import RTorrent

_NORMAL: Final = 1
_CALLS_MAX: Final = 500
"""Of one call, which rTorrent answers before it does anything else."""


def set_resume_state(rtorrent: RTorrent, info_hash: str, resume: Mapping[bytes, object]) -> None:
    """Repeat the state of trackers and the priorities of files; what is not in `resume` stays. Raises RTorrentError."""
    trackers = resume.get(b"trackers")
    if isinstance(trackers, dict):
        _set_trackers(rtorrent, info_hash, {key: value for key, value in trackers.items() if isinstance(value, dict)})
    saved = resume.get(b"files")
    files: list[Any] = saved if isinstance(saved, list) else []
    calls = [
        ("f.priority.set", (f"{info_hash}:f{number}", priority))
        for number, each in enumerate(files)
        if isinstance(each, dict) and isinstance(priority := each.get(b"priority"), int) and priority != _NORMAL
    ]
    for at in range(0, len(calls), _CALLS_MAX):
        rtorrent.multicall(calls[at : at + _CALLS_MAX])


def _set_trackers(rtorrent: RTorrent, info_hash: str, saved: Mapping[bytes, Mapping[bytes, object]]) -> None:
    known = {url for url, _ in _trackers(rtorrent, info_hash)}
    for url, state in saved.items():
        if url not in known and state.get(b"extra_tracker") == 1:
            rtorrent.call("d.tracker.insert", info_hash, str(state.get(b"group", 0)), url)
    for number, (url, is_enabled) in enumerate(_trackers(rtorrent, info_hash)):
        wanted = saved.get(url, {}).get(b"enabled")
        if wanted in (0, 1) and wanted != is_enabled:
            rtorrent.call("t.is_enabled.set", f"{info_hash}:t{number}", wanted)


def _trackers(rtorrent: RTorrent, info_hash: str) -> list[tuple[bytes, int]]:
    """The address of each tracker, and whether it is enabled (1 or 0)."""
    rows = rtorrent.call("t.multicall", info_hash, "", "t.url=", "t.is_enabled=")
    found = [(str(row[0]), int(str(row[1]))) for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    return [(url.encode("utf-8", "surrogateescape"), is_enabled) for url, is_enabled in found]
