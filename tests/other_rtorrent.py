"""Another rTorrent that takes over the socket of the known one."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from demo.private_rtorrent import PrivateRTorrent


@contextmanager
def other(
    rtorrent: PrivateRTorrent, folder: Path, session: Path | None = None, extra_rc: str = ""
) -> Generator[PrivateRTorrent]:
    """It runs below `folder` until the block ends; then the known one is started again."""
    rtorrent.stop(timeout=3)
    another = PrivateRTorrent(folder / "other", extra_rc=extra_rc)
    another.socket = rtorrent.socket
    if session is not None:
        another.session = session
    try:
        yield another.start()
    finally:
        another.stop(timeout=3)
        rtorrent.start()
