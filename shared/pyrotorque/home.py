"""The home folder of this user, and paths that begin with `~`."""

import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.errors import SettingsError, UserError

# Where a program looks that has no home folder; Debian gives it to users that need none.
NO_HOME: Final = Path("/nonexistent")


class UnknownHome(SettingsError, UserError, ValueError):
    """A path begins with `~`, and there is no such home folder."""


def home_folder() -> Path | None:
    """`HOME` if it is an absolute path, else the folder in the passwd entry; None without either, as in containers."""
    given = os.environ.get("HOME", "")
    if not given.startswith("/"):
        with suppress(KeyError):
            given = pwd.getpwuid(os.getuid()).pw_dir
    return Path(given) if given.startswith("/") else None


def expand_home(text: str) -> Path:
    """The path with `~` or `~USER` at its beginning replaced; raises UnknownHome."""
    if not text.startswith("~"):
        return Path(text)
    from pyrotorque.text import printable  # `--cron` must import little

    user, _, rest = text[1:].partition("/")
    if user:
        try:
            return Path(pwd.getpwnam(user).pw_dir) / rest
        except KeyError:
            raise UnknownHome(f"there is no user {printable(user)} for the path {printable(text)}") from None
    if (home := home_folder()) is None:
        raise UnknownHome(
            f"the home folder for {printable(text)} is unknown: HOME is not set, and user {os.getuid()} is not in "
            "/etc/passwd; set HOME, or use an absolute path"
        )
    return home / rest
