"""The bell: a file in `run/` that is read when the queues have something to check; the scheduler watches it.

Its readers are rTorrent (`try_import`, see deploy/rtorrent.d/bell.rc) and the watcher. Many readings are one check.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.layout import Layout

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def bell_file(layout: Layout) -> Path:
    """The path of the bell of this group."""
    return layout.run_dir / "bell"


def ring(bell: Path) -> None:
    """Have the queues check now; without a scheduler, nothing happens."""
    with suppress(OSError):
        os.close(os.open(bell, _FLAGS))
