"""Which rtorrent.rc `init` names: that of the rTorrent that the group is for, never that of another group's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.errors import PyrotorqueError
from pyrotorque.home import expand_home, home_folder
from pyrotorque.linux.files import read_text_file
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.discovery import address_in_files
from pyrotorque.settings.problems import Report
from pyrotorque.settings.rtorrent_rc import usual_files
from pyrotorque.settings.schema import RTorrentSettings
from pyrotorque.text import printable

_INCLUDE: Final = re.compile(r"""^\s*(?:try_)?import\s*=\s*["']?(.+)/rtorrent\.d/torque\.rc\.default["']?\s*$""", re.M)


@dataclass(frozen=True)
class RcChoice:
    """The file to change, in words; `note` is what else is needed so that the group uses its own rTorrent."""

    file: str
    note: str = ""


def configured_rtorrent(config_dir: Path) -> RTorrentSettings | None:
    """The address that an existing torque.ini leads to, and its place; None without one."""
    if not (config_dir / "torque.ini").is_file():
        return None
    try:
        found = load(config_dir, Options(), Report()).settings.rtorrent
    except (PyrotorqueError, OSError):
        return None
    return found if found.url else None


def rc_choice(config_dir: Path, url: str | None, *, several: bool) -> RcChoice:
    """`url` is the address of the group's rTorrent; `several` run, if it is not known."""
    names = list(usual_files(str(home_folder() or "~"), None))
    name = next((name for name in names if Path(name).is_file()), names[0])
    if url is None:
        usual = None
    else:
        usual, origin = address_in_files(None)
        name = origin or name
    if url is not None and usual is not None and url != usual:
        return RcChoice(f"the rtorrent.rc of the rTorrent at {printable(url)}")
    if (other := next(_other_groups(name, config_dir), None)) is not None:
        return RcChoice(
            "the rtorrent.rc of the rTorrent that this group is for",
            f"{printable(name)} imports the include of the group in {printable(str(other))}. Two groups must not use "
            "one rTorrent: set scgi_url in torque.ini to the address of another one",
        )
    if several:
        return RcChoice("the rtorrent.rc of the rTorrent that this group is for")
    return RcChoice(printable(name))


def _other_groups(name: str, config_dir: Path) -> Iterator[Path]:
    """The configuration directories whose includes this file imports, without `config_dir`."""
    try:
        text = read_text_file(name).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return
    for found in _INCLUDE.finditer(text):
        try:
            folder = expand_home(found[1])
        except PyrotorqueError:
            continue
        if folder.resolve() != config_dir.resolve():
            yield folder
