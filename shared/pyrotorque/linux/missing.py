"""Whether a path does not exist, as opposed to: it cannot be looked at now."""

import os
from pathlib import Path


def is_missing(path: Path) -> bool:
    """Whether there is nothing at this path, or a link to nothing.

    Not if that is unknown, as while its disk fails, or the process of a FUSE filesystem has ended: nothing may be
    stopped or created for such a moment.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
