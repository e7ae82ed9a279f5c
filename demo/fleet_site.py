"""A group of a fleet with a real rTorrent and a tree whose metafiles the fleet places."""

import json
import os
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from demo.group import Group
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import RTorrent

NAMES = ("one", "two", "three")
_READ_TIMEOUT = 3.0


class FleetSite:
    """Its rTorrent runs at once, the group after `group.start()`. `more` are further lines of torque.ini; `patch` is a
    folder with a sitecustomize for its processes; `within` are the words before each command, such as those of nsenter.
    """

    def __init__(
        self, folder: Path, name: str, servers: str, more: Sequence[str] = (), *, patch: Path | None = None,
        within: Sequence[str] = (), place: str = "fleet", beat: float = 0.3, silent: float = 3.0, turn: float = 0.2,
        rtorrent_rc: str = "",
    ) -> None:  # fmt: skip
        self.name, self.tree = name, folder / f"{name}-watch"
        self.tree.mkdir()
        self.dropped: dict[str, str] = {}
        """What was dropped here: the info-hash by the name of the file."""
        self.rtorrent = PrivateRTorrent(folder / f"{name}-rt", extra_rc=rtorrent_rc).start()
        lines = (
            "[TORQUE]",
            f"scgi_url = {self.rtorrent.url}",
            "job.treewatch.active = True",
            f"job.treewatch.place = {place}",
            "job.treewatch.load_mode = start",
            f"job.treewatch.path = {self.tree}",
            f"fleet.servers = {servers}",
            f"fleet.name = {name}",
            f"fleet.beat = {beat}",
            f"fleet.silent = {silent}",
            f"fleet.turn = {turn}",
            *more,
        )
        self.group = Group(folder / name, "\n".join(lines) + "\n", first_on_path=patch, within=within)

    # -- metafiles and items

    def drop(self, name: str, folder: Path | None = None) -> str:
        """Write a metafile into its tree, or into `folder`; its info-hash."""
        content = make_metafile(name)
        target = (folder or self.tree) / f"{name}.torrent"
        self.dropped[str(target)] = info_hash(content)
        target.with_suffix(".part").write_bytes(content)
        target.with_suffix(".part").rename(target)
        return info_hash(content)

    def read_items(self) -> dict[str, bool] | None:
        """Whether each item is started; None while rTorrent does not answer."""
        try:
            rows = RTorrent(self.rtorrent.url, read_timeout=_READ_TIMEOUT).rows("main", ("d.hash=", "d.state="))
        except RTorrentError:
            return None
        return {row[0]: row[1] == "1" for row in rows}

    def items(self) -> dict[str, bool]:
        """Whether each item is started; nothing while rTorrent does not answer."""
        return self.read_items() or {}

    # -- commands

    def shown(self) -> dict[str, dict[str, Any]]:
        """What `pyrotorque fleet` shows, by group."""
        return {each["name"]: each for each in self._lines("fleet")}

    def ready(self) -> set[str]:
        """The groups that take metafiles, as far as this one knows: their facts are there, and none is still joining.

        A group that joins waits until it is certain of its name. The next one in turn takes what is offered meanwhile.
        """
        found = self.shown()
        return {name for name, each in found.items() if each.get("items") is not None and not each["joining"]}

    def claims(self) -> dict[str, dict[str, Any]]:
        return {each["info_hash"]: each for each in self._lines("fleet", "claims", "--limit", "500")}

    def states(self) -> dict[str, str]:
        """The states of the metafiles in its tree, by name."""
        found = self._lines("watched")
        return {
            Path(each["path"]).name.partition(".")[0]: each["state"] for each in found if str(self.tree) in each["path"]
        }

    def _lines(self, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.group.command(*words, "--json").stdout.splitlines()]

    # -- its files, which can be read while its processes do not answer

    def ledger(self, query: str) -> list[tuple[Any, ...]]:
        return self._rows("watcher", query)

    def stored_claims(self) -> dict[str, tuple[str, str]]:
        """State and owner of each claim that the group knows."""
        rows = self._rows("fleet", "SELECT info_hash, state, owner FROM claims")
        return {info_hash: (state, owner) for info_hash, state, owner in rows}

    def inbox(self) -> set[str]:
        """The info-hashes of the metafiles in its inbox."""
        folder = self.group.config_dir / "state" / "fleet_inbox"
        return {path.name.partition(".")[0] for path in folder.rglob("*.torrent")}

    def _rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        path = self.group.config_dir / "state" / f"{service}.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            found: list[tuple[Any, ...]] = db.execute(query).fetchall()
        return found

    # -- processes

    def pid(self, service: str) -> int:
        """0 while it does not run."""
        with suppress(OSError, ValueError, IndexError):
            return self.group.pid(service)
        return 0

    def signal(self, service: str, number: signal.Signals) -> int:
        """Send a signal; the pid, or 0 if it did not run."""
        with suppress(ProcessLookupError):
            if pid := self.pid(service):
                os.kill(pid, number)
                return pid
        return 0
