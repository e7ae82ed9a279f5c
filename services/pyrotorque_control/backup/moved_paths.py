"""Paths that are others after a move: where they are rewritten, and where they are only reported."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import MetafileError
from pyrotorque.home import expand_home
from pyrotorque.json_input import decode_json
from pyrotorque.metafile.bencode_scan import plain_values, top_level
from pyrotorque.text import encode_json, printable
from pyrotorque_control.exit_codes import EX_USAGE
from pyrotorque_control.group import CommandError

# Attributes of an item in rTorrent's session that are paths.
_PATH_KEYS: Final = (b"directory", b"tied_to_file", b"loaded_file")
_TEXT_MAX: Final = 1 << 20


@dataclass(frozen=True)
class MovedPaths:
    """Pairs of an old and a new folder: what was below the old one is below the new one now."""

    pairs: tuple[tuple[bytes, bytes], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def path(self, path: bytes) -> bytes:
        """The path after the move; the longest old folder counts."""
        for old, new in self._longest_first():
            if path == old or path.startswith(old + b"/"):
                return new + path[len(old) :]
        return path

    def text(self, text: bytes) -> bytes:
        """Text with each path in it after the move, as a file of settings."""
        if not self.pairs:
            return text
        new = dict(self.pairs)
        return self._pattern().sub(lambda found: new[found[0]], text)

    def lines(self, text: bytes) -> list[int]:
        """The numbers of the lines that contain such a path."""
        found = (number for number, line in enumerate(text.split(b"\n"), 1) if self._pattern().search(line))
        return list(found) if self.pairs else []

    def _longest_first(self) -> list[tuple[bytes, bytes]]:
        return sorted(self.pairs, key=lambda pair: len(pair[0]), reverse=True)

    def _pattern(self) -> re.Pattern[bytes]:
        folders = b"|".join(re.escape(old) for old, _ in self._longest_first())
        return re.compile(rb"(?:(?<![\w./~-])|(?<=://))(?:" + folders + rb")(?![\w.-])")


def parse_moves(words: tuple[str, ...]) -> MovedPaths:
    """From `OLD=NEW`; raises CommandError."""
    pairs: dict[bytes, bytes] = {}
    for word in words:
        old, equals, new = word.partition("=")
        paths = [os.fsencode(os.path.normpath(expand_home(path))) for path in (old, new)]
        if not equals or not all(path.startswith(b"/") and path.strip(b"/") for path in paths):
            raise CommandError(
                f"--move {printable(word)}: must be OLD=NEW, two absolute folders, neither of them /", EX_USAGE
            )
        if pairs.setdefault(paths[0], paths[1]) != paths[1]:
            raise CommandError(f"--move {printable(old)}: given twice", EX_USAGE)
    return MovedPaths(tuple(pairs.items()))


def moved_attributes(data: bytes, moved: MovedPaths) -> bytes:
    """The saved attributes of an item after the move; all other bytes stay as they are."""
    try:
        spans = {key: span for key, span in top_level(data).items() if key in _PATH_KEYS}
        values = plain_values(data, spans)
    except MetafileError:
        return data
    for key, (begin, end) in sorted(spans.items(), key=lambda item: item[1], reverse=True):
        value = values.get(key.decode())
        if isinstance(value, bytes) and (new := moved.path(value)) != value:
            data = data[:begin] + b"%d:%b" % (len(new), new) + data[end:]
    return data


def moved_journal(data: bytes, moved: MovedPaths) -> bytes:
    """An unfinished move or removal after the move of its folders: JSON whose paths are in keys that end in `_hex`.
    Other content stays as it is."""
    try:
        entry = decode_json(data, type=dict[str, object])
    except msgspec.DecodeError:
        return data
    changed = {key: _moved_hex(value, moved) if key.endswith("_hex") else value for key, value in entry.items()}
    return encode_json(changed) if changed != entry else data


def _moved_hex(value: object, moved: MovedPaths) -> object:
    try:
        return moved.path(bytes.fromhex(value)).hex() if isinstance(value, str) else value
    except ValueError:
        return value


def rewrite(path: Path, data: bytes) -> bool:
    """Replace the content of a file that belongs to a restore in progress, with its times; whether it differs."""
    before = path.stat()
    if path.read_bytes() == data:
        return False
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return True


def mentions(folder: Path, moved: MovedPaths, without: Sequence[str] = ()) -> list[str]:
    """`FILE:LINE` of each line in text files below `folder` that contains such a path."""
    found: list[str] = []
    files = (path for path in sorted(folder.rglob("*")) if str(path.relative_to(folder)) not in without)
    for path in files:
        if path.is_file() and path.stat().st_size <= _TEXT_MAX and b"\0" not in (text := path.read_bytes()):
            found += [f"{printable(str(path.relative_to(folder)))}:{line}" for line in moved.lines(text)]
    return found
