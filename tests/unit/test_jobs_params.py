# pyright: reportPrivateUsage=false
"""Text settings of shipped jobs stay text; users' own classes get digits as int and truth words as bool."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.jobs.notify import Notify
from pyrotorque.jobs.params import JobConfig, get_bool, get_count, get_seconds, get_text, texts_below, with_texts
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.schema import CustomSettings
from pyrotorque.settings.serialization import from_json, to_json
from pyrotorque.workers.messages import CreateJob, decode_to_worker, encode_message
from pyrotorque.workers.preparation import create_message

VERBATIM = [
    "0012345",
    "on",
    "True",
    "true",
    "-",
    "+",
    "y",
    "007",
    "0",
    "00",
    "No",
    "9" * 30,
    "9" * 5000,
    "0x10",
    "1.50",
]


def configured(home: Path, *lines: str, handler: str = "pyrotorque.jobs.notify:Notify") -> Mapping[str, Any]:
    """The constructor's argument of a job with these settings, on its way through state and worker protocol."""
    head = f"[TORQUE]\nscgi_url = scgi:///x\njob.x.handler = {handler}\njob.x.on = LoadFailed\n"
    (home / "torque.ini").write_text(head + "".join(f"job.x.{line}\n" for line in lines))
    loaded = load(home, Options())
    settings = from_json(to_json(loaded.settings))
    job = next(job for job in settings.jobs if isinstance(job, CustomSettings) and job.name == "x")
    message = decode_to_worker(encode_message(create_message(job, settings, loaded.layout)))
    assert isinstance(message, CreateJob)
    return with_texts(message.config, message.texts)


@pytest.mark.parametrize("text", VERBATIM)
def test_a_text_setting_has_the_text_of_the_file(tmp_path: Path, text: str) -> None:
    found = configured(tmp_path, f"header.X-Pin = {text}", f"command = {text}", f"view = {text}")
    assert texts_below(found, "header.") == {"X-Pin": text}
    assert (get_text(found, "command", "args"), get_text(found, "view")) == (text, text)


def test_a_webhook_gets_headers_and_values_as_written(tmp_path: Path) -> None:
    lines = ("url = http://127.0.0.1:9/", "header.X-Pin = 0012345", "json.silent = on", "json.level = 05")
    request = Notify(configured(tmp_path, *lines)).request(None)
    assert request.get_header("X-pin") == "0012345"
    assert json.loads(request.data or b"") == {"silent": "on", "level": "05"}  # type: ignore[arg-type]


def test_a_program_may_have_the_name_of_a_truth_word(tmp_path: Path) -> None:
    job = Notify(configured(tmp_path, "command = true"))
    assert job._program is not None
    assert job._program.arguments.argv({}) == ["true"]


def test_typed_settings_of_shipped_jobs_are_read_as_before(tmp_path: Path) -> None:
    found = configured(tmp_path, "attempts = 003", "within = 010", "shell = yes", "other = 1", "half = 0.5")
    assert (get_count(found, "attempts"), get_seconds(found, "within", 1.0)) == (3, 10.0)
    assert (get_bool(found, "shell"), get_bool(found, "other"), get_seconds(found, "half", 1.0)) == (True, True, 0.5)


@pytest.mark.parametrize(("text", "value"), [("007", 7), ("on", True), ("-", False), ("12", 12), ("a b", "a b")])
def test_a_users_class_gets_the_documented_types(tmp_path: Path, text: str, value: object) -> None:
    found = configured(tmp_path, f"text = {text}", f"pin = {text}", handler="mine:Job")
    assert isinstance(found, JobConfig)
    assert (found["pin"], found.pin, found.get("pin"), found.text) == (value,) * 4
    assert type(found["pin"]) is type(value)
    assert dict(found)["pin"] == copy.copy(found)["pin"] == value


def test_a_users_subclass_of_a_shipped_job_has_both(tmp_path: Path) -> None:
    class Mine(Notify):
        pass

    lines = ("url = http://127.0.0.1:9/", "header.X-Pin = 0012345", "mine = 0012345")
    job = Mine(configured(tmp_path, *lines, handler="mine:Mine"))
    assert job.request(None).get_header("X-pin") == "0012345"
    assert job.config["mine"] == 12345


def test_a_setting_that_the_job_replaced_has_its_new_value(tmp_path: Path) -> None:
    found = configured(tmp_path, "command = on")
    assert isinstance(found, JobConfig)
    found["command"] = "off"
    assert get_text(found, "command") == "off"


def test_a_scheduler_of_1_0_0_sends_no_texts() -> None:
    message = decode_to_worker(b'{"type":"Prepare","job":"x","handler":"a:B","config":{"pin":12},"config_dir":"/"}')
    assert isinstance(message, CreateJob)
    assert get_text(with_texts(message.config, message.texts), "pin") == "12"
