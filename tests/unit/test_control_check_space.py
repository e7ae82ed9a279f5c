"""`check` names queues that wait for room which no clean-up frees."""

from pathlib import Path

import pytest

from tests.commanding import NOWHERE, Command

CLEANUP = """[TORQUE]
{nowhere}
job.queue.active = True
job.queue.min_free = {queue}
job.space.handler = pyrotorque.jobs.cleanup:Cleanup
job.space.schedule = hour=4
job.space.active = {active}
job.space.condition = is_complete=yes
job.space.data = delete
job.space.below = {below}
job.space.others = none
job.space.{setting}
"""


@pytest.mark.parametrize(
    ("queue", "setting", "active", "warned"),
    [
        ("30g", "min_free = 20g", True, "job.queue.min_free (30.0 GiB) is more than job.space.min_free (20.0 GiB)"),
        ("1g", "max_used = 2t", True, "is more than job.space.min_free, which is not set: in between"),
        ("20g", "min_free = 20g", True, ""),
        ("0", "max_used = 2t", True, ""),
        ("30g", "max_items = 2", True, ""),
        ("30g", "min_free = 20g", False, ""),
    ],
)
def test_a_queue_that_stops_above_the_room_at_which_a_clean_up_begins(
    queue: str, setting: str, active: bool, warned: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    below = tmp_path / "data"
    below.mkdir()
    text = CLEANUP.format(nowhere=NOWHERE, queue=queue, setting=setting, active=active, below=below)
    checked = Command(tmp_path / "config", capsys).configured(text)("check")
    said = checked.out + checked.err
    assert warned in said
    assert ("in between, the queue waits for room" in said) == bool(warned)
