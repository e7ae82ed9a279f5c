"""The scheduler builds its jobs from a configuration that 1.0.0 accepted, and reports what is probably wrong in it."""

import logging
from pathlib import Path

import pytest

from tests.scheduling import queue_job, queue_scene_at

NOWHERE = "scgi:///nowhere/rt.sock"


def test_a_condition_that_cannot_mean_what_was_typed_is_used_as_before_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = queue_job(startable="prio = 2 [tagged=new]", downloading="prio>0")
    with caplog.at_level(logging.WARNING), queue_scene_at(NOWHERE, tmp_path, job) as scene:
        (queue,) = scene.job_table.queues.values()
        assert str(queue.rules.startable).endswith(r"name=prio name=\= name=2 name=[tagged=new]")
    assert [record.getMessage() for record in caplog.records] == [
        "job.queue.startable is used as 1.0.0 read it, but cannot mean what was typed: `=` stands alone: "
        r"write `prio=2`; for an item of that name: `name=\=`"
    ]
