"""A mount namespace that lasts as long as a test: its mounts come and go without those of the machine."""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from tests.environments import mount_namespace


class MountNamespace:
    """`words` before a command run it in the namespace; `run` changes the mounts there."""

    def __init__(self, pid: int) -> None:
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        self.words = ("nsenter", "-t", str(pid), "-m", *user)

    def run(self, script: str) -> None:
        """Run shell commands as root of the namespace; raises CalledProcessError with what they printed."""
        subprocess.run([*self.words, "sh", "-ec", script], check=True, capture_output=True, text=True)


@contextmanager
def made_mount_namespace(script: str) -> Generator[MountNamespace]:
    """A new namespace after `script`; the test is skipped where that is not allowed."""
    command = [*mount_namespace(script), "sh", "-c", "echo ready; read line"]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        yield MountNamespace(holder.pid)
    finally:
        holder.kill()
        holder.communicate()
