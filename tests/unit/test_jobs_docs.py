"""The examples of docs/jobs.md have the described results."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from demo.group import REPOSITORY
from pyrotorque import configuration
from pyrotorque.events import Durable, LoadFailed
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.command import Command, event_namespace
from pyrotorque.jobs.itemcommand import ItemCommand
from pyrotorque.jobs.mover import Mover
from pyrotorque.jobs.notify import Notify
from pyrotorque.options import Options
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.workers.handlers import load_handler
from pyrotorque.workers.preparation import job_config

TEXT = (REPOSITORY / "docs/jobs.md").read_text()
INI = re.findall(r"```ini\n(.*?)```", TEXT, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """All examples in one configuration, which `check` lets pass without a warning."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/ratio.py").write_text(PYTHON[0])
    text = "[TORQUE]\n" + "\n".join(INI).replace("[TORQUE]\n", "")
    (tmp_path / "torque.ini").write_text(text)
    found = configuration.read(tmp_path, Options())
    assert [str(warning) for warning in found.warnings] == []
    return found.settings


def config(settings: Settings, name: str) -> JobConfig:
    job = next(job for job in settings.jobs if job.name == name)
    assert isinstance(job, CustomSettings)
    return JobConfig(job_config(job, settings))


class Rows:
    """A fake, because an example needs items with certain ratios: one row for each."""

    def rows(
        self, _view: str, commands: list[str], *, where: str = "", meanwhile: object = None
    ) -> list[tuple[str, ...]]:
        ratios = ("500", "2500", "9000")
        return [tuple(ratio if command == "d.ratio=" else "x" for command in commands) for ratio in ratios]

    def scan_rows(self, view: str, commands: list[str], *, where: str = "") -> list[tuple[str, ...]]:
        return self.rows(view, commands, where=where)

    def multicall(self, calls: list[object]) -> list[int]:
        return [3 for _ in calls]

    def known(self, command: str) -> bool:
        return "filtered" not in command


def test_all_examples_are_good_configurations(settings: Settings) -> None:
    names = {job.name for job in settings.jobs if isinstance(job, CustomSettings)}
    assert names == {"ratio", "tidy", "backup", "unpack", "injected", "mover", "notify"}


def test_the_job_of_the_example_counts_and_remembers(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job: Any = load_handler("ratio:Report", tmp_path / "jobs")(config(settings, "ratio"))
    job.rtorrent = Rows()
    with caplog.at_level("INFO"):
        job.run()
        job.run()
    assert [record.getMessage() for record in caplog.records] == [
        "2 items have a ratio of 2.0, +2",
        "2 items have a ratio of 2.0, +0",
    ]


def test_the_commands_of_the_examples(settings: Settings) -> None:
    context.set_context(context.JobContext())
    backup = Command(config(settings, "backup"))
    argv = backup.program.arguments.argv({})
    assert argv == ["tar", "-C", "/var/torrent", "-czf", "/tmp/session.tar.gz", "session"]
    unpack = ItemCommand(config(settings, "unpack"))
    argv = unpack.program.arguments.argv({"path": "/d/A b", "name": "A b"})
    assert argv == ["unrar", "x", "-o-", "--", "/d/A b/A b.rar", "/var/unpacked/"]


def test_the_mover_of_the_example_stays_below_its_folder(settings: Settings) -> None:
    job = Mover(config(settings, "mover"))
    assert job.rules.folder("/var/torrent/done/tv") == Path("/var/torrent/done/tv")


def test_the_notification_of_the_example_says_what_happened(settings: Settings) -> None:
    job = Notify(config(settings, "notify"))
    failed = LoadFailed(at=0.0, metafile="/watch/a.torrent", job="w", kind="io", reason="no")
    assert job.request(failed).data == b"LoadFailed /watch/a.torrentno"


def test_every_setting_that_a_shipped_job_reads_is_documented() -> None:
    """A setting with an older name (`condition`, `matcher`) is documented by its current name."""
    code = "".join(file.read_text() for file in (REPOSITORY / "shared/pyrotorque/jobs").glob("*.py"))
    read = set(re.findall(r'\b(?:require_text|get_text|get_bool|get_count|get_seconds)\(config, "(\w+)"', code))
    assert len(read) > 12
    shipped = TEXT.partition("## Shipped jobs")[2] + (REPOSITORY / "docs/cleanup.md").read_text()
    assert [
        name for name in sorted(read) if not re.search(rf"`{name}\b|^job\.\w+\.{name} ", shipped, re.MULTILINE)
    ] == []


def test_the_table_of_events_names_all_fields() -> None:
    for kind in get_args(Durable):
        row = next(line for line in TEXT.splitlines() if f"`{kind.__name__}`" in line.partition("| ")[2].split("|")[0])
        for field in kind.__struct_fields__:
            assert field == "at" or f"`{field}`" in row, (kind.__name__, field)
        assert set(event_namespace(None, "x")) >= set(kind.__struct_fields__)
