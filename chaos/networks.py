"""Hosts of a private network on this machine: network namespaces on one bridge, whose links can be cut.

Everything is inside a network namespace of the calling program, which `enter` makes; with the program, all of it ends.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final

_ENTERED: Final = "CHAOS_NETWORK"
_PREFIX: Final = "10.90.0"
_BRIDGE: Final = "fleet0"


def enter(module: str) -> bool:
    """Run this program again in a network of its own, unless it is in one; False where the machine allows none."""
    if os.environ.get(_ENTERED):
        return True
    # Without root, in a user namespace in which this user is root.
    unshare = ["unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--net"]
    script = f"ip link set lo up && ip link add {_BRIDGE} type bridge && ip link add t0 type veth peer name t1"
    tried = subprocess.run([*unshare, "sh", "-c", script], capture_output=True, check=False)
    if tried.returncode:
        return False
    os.environ[_ENTERED] = "entered"
    os.execvp(unshare[0], [*unshare, sys.executable, "-m", module, *sys.argv[1:]])
    return True


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class PrivateNetwork:
    """One host for each name; `with PrivateNetwork(names) as network:`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        self._holders: dict[str, subprocess.Popen[bytes]] = {}

    def address(self, name: str) -> str:
        return f"{_PREFIX}.{self._numbers[name]}"

    def within(self, name: str) -> tuple[str, ...]:
        """The words before a command that run it on this host."""
        return ("nsenter", f"--net=/proc/{self._holders[name].pid}/ns/net", "--")

    def cut(self, name: str) -> None:
        """Packets from and to this host vanish; connections stay as they are."""
        _run("ip", "link", "set", self._link(name), "down")

    def join(self, name: str) -> None:
        _run("ip", "link", "set", self._link(name), "up")

    def _link(self, name: str) -> str:
        return f"host{self._numbers[name]}"

    def __enter__(self) -> "PrivateNetwork":
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", _BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{_PREFIX}.254/24", "dev", _BRIDGE)
        _run("ip", "link", "set", _BRIDGE, "up")
        for name in self._numbers:
            self._add(name)
        return self

    def _add(self, name: str) -> None:
        script = "echo && exec sleep infinity"
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
        self._holders[name] = holder
        assert holder.stdout is not None
        holder.stdout.readline()  # it is in its namespace now
        link = self._link(name)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _run("ip", "link", "set", link, "master", _BRIDGE, "up")
        for words in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "addr", "add", f"{self.address(name)}/24", "dev", "eth0"),
            ("ip", "link", "set", "eth0", "up"),
        ):
            _run(*self.within(name), *words)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for holder in self._holders.values():
            holder.kill()
            holder.wait(10)
        _run("ip", "link", "del", _BRIDGE)
