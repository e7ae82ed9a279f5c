"""Finds rTorrent's address in its configuration file, or from the sockets of its running process."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyrotorque.home import NO_HOME, expand_home, home_folder
from pyrotorque.linux.files import read_text_file
from pyrotorque.linux.processes import process_stat
from pyrotorque.settings.rtorrent_rc import address_in, usual_files


@dataclass(frozen=True, slots=True)
class ListeningAddress:
    """An address on which a running rTorrent listens, not necessarily with SCGI."""

    url: str
    pid: int


def address_in_files(rtorrent_rc: str | None) -> tuple[str | None, str]:
    """The address in rTorrent's configuration, and its file; `rtorrent_rc` replaces the default paths."""
    home = str(home_folder() or NO_HOME)
    for name in usual_files(home, rtorrent_rc and str(expand_home(rtorrent_rc))):
        if text := _text(name):
            url = address_in(text, home=home, environ=os.environ, read=_text)
            if url:
                return url, name
    return None, ""


def _text(name: str) -> str | None:
    try:
        return read_text_file(name).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None


def listening_rtorrents() -> Iterator[ListeningAddress]:
    """Addresses on which this user's rtorrent processes listen, sockets before ports."""
    if process_stat(os.getpid()) is None:
        return  # without /proc, psutil fails in many ways
    import psutil  # takes much memory, and is needed only if no file contains the address

    for process in psutil.process_iter(["name", "uids"]):
        uids = process.info["uids"]
        if (process.info["name"] or "").startswith("rtorrent") and uids and uids.effective == os.geteuid():
            try:
                connections = process.net_connections(kind="all")
            except psutil.Error:
                continue
            for url in _listening_urls(connections):
                yield ListeningAddress(url, process.pid)


def _listening_urls(connections: Iterable[object]) -> list[str]:
    sockets: list[str] = []
    ports: list[str] = []
    for connection in connections:
        address = getattr(connection, "laddr", "")
        if isinstance(address, str):
            sockets += [f"scgi://{address}"] if address.startswith("/") else []
        elif address and getattr(connection, "status", "") == "LISTEN":
            host = "127.0.0.1" if address.ip in ("0.0.0.0", "::") else address.ip.removeprefix("::ffff:")
            ports.append(f"scgi://{host}:{address.port}")
    return [*dict.fromkeys(sockets), *ports]
