"""What some versions of rTorrent refuse in metafiles, or end because of, and others load."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pyrotorque.rtorrent_version import RTorrentVersion, version_of

# Tested: 0.9.8 and 0.16.17. What the versions between do is not known, and they count as 0.9.8.
_PADDING: Final = (0, 16)
BEFORE_PADDING: Final = ((0,), _PADDING)
"""Without padding files, reading paths in all encodings."""
SINCE_PADDING: Final = (_PADDING, (2**31,))
"""With padding files, reading paths in UTF-8 only."""


@dataclass(frozen=True, slots=True)
class VersionLimit:
    """A reason for rTorrent to refuse a metafile, for the versions from the first to before the second."""

    versions: tuple[RTorrentVersion, RTorrentVersion]
    reason: str

    def applies(self, version: RTorrentVersion) -> bool:
        return self.versions[0] <= version < self.versions[1]


def first_refusal(limits: Iterable[VersionLimit], version: str) -> str:
    """The first reason for this version (`0.9.8`); empty without one, or if the version is not known."""
    numbers = version_of(version)
    reasons = (limit.reason for limit in limits if numbers and limit.applies(numbers))
    return next((f"{reason} (rTorrent {version})" for reason in reasons), "")
