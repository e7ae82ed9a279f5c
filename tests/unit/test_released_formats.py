"""What a process of 1.0.0 sends or stores is read by this version, and the reverse: both can run in one group."""

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from demo.group import REPOSITORY, environment
from pyrotorque.bus.wire import ReplayReply, ReplayRequest
from pyrotorque.events import Durable, Envelope, Event, Sample, TotalsReported
from pyrotorque.jobs.move_journal import Move
from pyrotorque.options import Options
from pyrotorque.requests import Answer, Request
from pyrotorque.settings.schema import Settings
from pyrotorque.workers.messages import FromWorker, ToWorker
from tests.json_formats import Format, differences, format_of
from tests.released import unpack_released

# By module and name in 1.0.0, below `pyrotorque`: the type that has its place now.
FORMATS: dict[str, Any] = {
    "events Durable": Durable,
    "events Event": Event,
    "events Envelope": Envelope,
    "events TotalsReported": TotalsReported,
    "events Sample": Sample,
    "bus.wire ReplayAsked": ReplayRequest,
    "bus.wire ReplayAnswered": ReplayReply,
    "requests Request": Request,
    "requests Answer": Answer,
    "jobs.messages ToWorker": ToWorker,
    "jobs.messages FromWorker": FromWorker,
    "jobs.moving.journal Move": Move,
    "options Options": Options,
    "settings.schema Settings": Settings,
}

# Values that 1.0.0 declared, but that no line of its code could produce.
NEVER_WRITTEN = {".StartFailed.kind may no longer be ['rpc']"}
# Removed on purpose: 1.0.0 reads its default instead, with which its page shows no names.
REMOVED = {".jobs[].exporter.page_names is gone"}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Format]:
    folder = unpack_released(tmp_path_factory.mktemp("released"))
    ended = subprocess.run(
        [sys.executable, "-P", str(REPOSITORY / "tests/json_formats.py"), *FORMATS],
        env=environment() | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Format] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_1_0_0_and_this_version_read_each_other(name: str, released: dict[str, Format]) -> None:
    assert set(differences(released[name], format_of(FORMATS[name]))) <= NEVER_WRITTEN | REMOVED


class Before(msgspec.Struct, tag="Same"):
    kept: int
    gone: str = ""


class After(msgspec.Struct, tag="Same"):
    kept: str
    needed: int
    optional: int = 0


class Other(msgspec.Struct, tag=True):
    pass


def test_differences_are_found() -> None:
    found = sorted(differences(format_of(Before | Other), format_of(After | None)))
    assert found == [
        ".Other is gone",
        ".Same requires ['needed']",
        ".Same.gone is gone",
        ".Same.kept: type was IntType, is StrType",
    ]
