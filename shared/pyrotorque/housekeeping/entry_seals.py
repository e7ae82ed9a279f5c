"""Proves that an entry of a quarantine was made by this group: a torrent can store files that look like one.

rTorrent stores whatever a torrent names, also `.pyrotorque-quarantine/…/entry.json`. Each entry has a random number and
its code under a key in the state folder, which no torrent can know.
"""

import hmac
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from pyrotorque.linux.files import sync_folder
from pyrotorque.linux.regular_files import read_regular_file

_FILE: Final = "quarantine.key"
_SIZE: Final = 32


@dataclass(frozen=True)
class EntrySeals:
    """`folder` is the private folder of all clean-up jobs of the group."""

    folder: Path

    def new(self) -> str:
        """A seal for an entry. Raises OSError if the key cannot be created."""
        number = os.urandom(_SIZE).hex()
        return f"{number}:{self._code(number)}"

    def is_valid(self, seal: str) -> bool:
        """Whether the seal is from this group; none is without the key."""
        number, _, code = seal.partition(":")
        try:
            return bool(number) and hmac.compare_digest(code.encode(), self._code(number).encode())
        except OSError:
            return False

    def _code(self, number: str) -> str:
        return hmac.new(self._key, number.encode(), "sha256").hexdigest()

    @cached_property
    def _key(self) -> bytes:
        path = self.folder / _FILE
        if not path.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f"{_FILE}.{os.getpid()}")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(os.urandom(_SIZE))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, path)  # the first one counts
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
            sync_folder(self.folder)
        return read_regular_file(path)
