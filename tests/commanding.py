"""`pyrotorque` called within the test's own process."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pyrotorque_control.cli import run

NOWHERE = "scgi_url = scgi:///nowhere/rt.sock\n"


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def problem(self) -> str:
        """The one line on the standard error that is no warning."""
        lines = [line for line in self.err.splitlines() if "warning: " not in line]
        assert len(lines) == 1, self.err
        return lines[0]


class Command:
    """`pyrotorque --config-dir HOME …` within this process."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home, self.capture = home, capture

    def __call__(self, *words: str) -> Ended:
        code = run(["--config-dir", str(self.home), *words])
        said = self.capture.readouterr()
        return Ended(code, said.out, said.err)

    def configured(self, torque: str) -> "Command":
        self.home.mkdir(exist_ok=True)
        (self.home / "torque.ini").write_text(torque)
        (self.home / "run").mkdir(exist_ok=True, mode=0o700)
        (self.home / "run/pyrotorque").touch()
        return self
