"""Runs a sub-command for clean-ups in a process of its own: it reads all items and files, which needs memory."""

import json
import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pyrotorque.actions import ACTOR
from pyrotorque.errors import ActionRefused, ServiceUnreachable
from pyrotorque.interpreter import import_path, module_command
from pyrotorque.json_input import decode_json
from pyrotorque.layout import Layout
from pyrotorque_panel.cleaning import cleaned, cleaned_text

_TIMEOUT: Final = 60.0
_OUTPUT_MAX: Final = 8 << 20
_PREFIX: Final = "pyrotorque: "


@dataclass(frozen=True)
class CommandRunner:
    """The command of this installation, with the group's configuration directory."""

    layout: Layout
    slots: ClassVar[threading.BoundedSemaphore] = threading.BoundedSemaphore(2)
    """So many processes at once: each reads all items."""

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """What a command with `--json` prints. Raises ActionRefused if it prints nothing but an error."""
        output, error = self._run(words, "panel")
        found = [decode_json(line) for line in output.splitlines() if line.startswith("{")]
        if error and not found:
            raise ActionRefused(error)
        result: list[dict[str, Any]] = cleaned(found)
        return result

    def act(self, by: str, *words: str) -> str:
        """Carry out an action; the sentence about it. Raises ActionRefused."""
        output, error = self._run(words, by)
        if error:
            raise ActionRefused(error)
        return cleaned_text(output.strip())

    def _run(self, words: Sequence[str], by: str) -> tuple[str, str]:
        """The output, and the error if it failed."""
        # Every user of the machine sees the words of a command line: these name items.
        command = module_command("pyrotorque_control.piped_words")
        given = json.dumps(["--config-dir", str(self.layout.config_dir), *words]).encode()
        try:
            with self.slots:
                environment = {**os.environ, "PYTHONPATH": import_path(), ACTOR: by}
                ended = subprocess.run(
                    command,
                    input=given,
                    capture_output=True,
                    timeout=_TIMEOUT,
                    check=False,
                    env=environment,
                )
        except subprocess.TimeoutExpired as error:
            raise ServiceUnreachable(f"`pyrotorque {words[0]}` did not end within {_TIMEOUT:.0f} s") from error
        output = ended.stdout[:_OUTPUT_MAX].decode("utf-8", "replace")
        if ended.returncode == 0:
            return output, ""
        lines = [line for line in ended.stderr.decode("utf-8", "replace").splitlines() if "warning:" not in line]
        text = (lines or [f"`pyrotorque {words[0]}` failed with exit code {ended.returncode}"])[-1]
        return output, cleaned_text(text.removeprefix(_PREFIX))
