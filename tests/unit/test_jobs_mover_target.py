# pyright: reportPrivateUsage=false
"""The mover decides by real paths whether its target is below its folders, at the moment of each step."""

from pathlib import Path

import pytest

from pyrotorque.errors import UserError
from pyrotorque.jobs import context
from pyrotorque.jobs.move_files import MoveFiles
from pyrotorque.jobs.move_journal import Move, path_hex
from pyrotorque.jobs.mover import Mover
from pyrotorque.jobs.params import JobConfig
from pyrotorque.linux import filesystems


@pytest.fixture
def done(tmp_path: Path) -> Path:
    folder = tmp_path / "done"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    return folder


def made(tmp_path: Path, *below: Path) -> Mover:
    context.set_context(context.JobContext(config_dir=tmp_path / "config", state_dir=tmp_path / "state"))
    listed = ":".join(map(str, below))
    return Mover(JobConfig({"job_name": "move", "schedule": "minute=*", "below": listed}))


def test_a_link_below_must_not_lead_out(tmp_path: Path, done: Path) -> None:
    (done / "tv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is not below"):
        made(tmp_path, done).rules.check_location(done / "tv" / "Some Name")


def test_a_link_in_the_middle_must_not_lead_out(tmp_path: Path, done: Path) -> None:
    (done / "tv").symlink_to("../elsewhere")
    with pytest.raises(UserError, match="is not below"):
        made(tmp_path, done).rules.check_location(done / "tv" / "new" / "deep" / "Some Name")


def test_a_dangling_link_with_the_final_name_must_not_lead_out(tmp_path: Path, done: Path) -> None:
    (done / "Some Name").symlink_to(tmp_path / "elsewhere" / "new")
    with pytest.raises(UserError, match="is not below"):
        made(tmp_path, done).rules.check_location(done / "Some Name")


def test_a_link_within_and_a_link_as_below_are_accepted(tmp_path: Path, done: Path) -> None:
    (done / "real").mkdir()
    (done / "tv").symlink_to(done / "real")
    (tmp_path / "alias").symlink_to(done)
    made(tmp_path, done).rules.check_location(done / "tv" / "Some Name")
    made(tmp_path, tmp_path / "alias").rules.check_location(tmp_path / "alias" / "x" / "Some Name")
    made(tmp_path, tmp_path / "alias").rules.check_location(done / "Some Name")
    made(tmp_path, done, tmp_path / "elsewhere").rules.check_location(tmp_path / "elsewhere" / "Some Name")


def test_a_bind_mount_below_must_not_lead_out(tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mount(number: int, point: Path, root: str) -> filesystems.Mount:
        return filesystems.Mount(number, 1, bytes(point), "ext4", b"8:1", root.encode())

    mounts = [mount(1, Path("/"), "/"), mount(2, done / "tv", str(tmp_path / "elsewhere"))]
    monkeypatch.setattr("pyrotorque.confinement.read_mounts", lambda: mounts)
    job = made(tmp_path, done)
    job.rules.check_location(done / "films" / "Some Name")
    with pytest.raises(UserError, match="is not below"):
        job.rules.check_location(done / "tv" / "Some Name")


def test_private_folders_receive_no_data_even_without_below(tmp_path: Path, done: Path) -> None:
    (tmp_path / "config" / "jobs").mkdir(parents=True)
    (done / "tv").symlink_to(tmp_path / "config")
    for final in (tmp_path / "config" / "jobs" / "x.py", done / "tv" / "config.py", tmp_path / "state" / "x"):
        with pytest.raises(UserError, match="no content of torrents"):
            made(tmp_path).rules.check_location(final)
    made(tmp_path).rules.check_location(done / "Some Name")


def test_a_run_dir_elsewhere_receives_no_data_either(tmp_path: Path, done: Path) -> None:
    context.set_context(
        context.JobContext(
            config_dir=tmp_path / "config", state_dir=tmp_path / "state", run_dir=tmp_path / "run elsewhere"
        )
    )
    job = Mover(JobConfig({"job_name": "move", "schedule": "minute=*"}))
    with pytest.raises(UserError, match="no content of torrents"):
        job.rules.check_location(tmp_path / "run elsewhere" / "scheduler.requests")


def test_a_link_that_appeared_after_the_decision_stops_the_move(tmp_path: Path, done: Path) -> None:
    source = tmp_path / "Some Name"
    source.write_text("data")
    move = Move(
        info_hash="A" * 40, name="x", source_hex=path_hex(source), final_hex=path_hex(done / "tv" / "Some Name"),
        multi_file=False,
    )  # fmt: skip
    job = made(tmp_path, done)
    files = MoveFiles(job.rules, lambda: None)
    job.rules.check_location(move.final)
    (done / "tv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is not below"):
        files.prepare(move)
    with pytest.raises(UserError, match="is not below"):
        files.rename(move)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert source.exists()
