"""docs/migration.md: every setting of pyrosimple has its line, and the examples mean the same here."""

import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from demo.group import REPOSITORY
from pyrotorque.conditions import parse
from pyrotorque.errors import ConditionError, SettingsError
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.schema import QueueSettings, Settings, WatchSettings
from tests.docs_blocks import blocks

PAGE = (REPOSITORY / "docs" / "migration.md").read_text()
PYROSIMPLE = PAGE.partition("## From pyrosimple")[2]
# All that pyrosimple 2.14 reads, by where it stands.
OF_PYROSIMPLE = {
    "queue": {
        "matcher": "done=0",
        "sort": "name",
        "start_at_once": "2",
        "intermission": "120",
        "downloading_min": "0",
        "downloading_max": "20",
        "downloading": "down>3",
        "downloading_traffic_max": "1m",
        "max_downloading_traffic": "1m",
        "log_to_client": "False",
        "view": "main",
    },
    "treewatch": {
        "path": "/",
        "load_mode": "start",
        "start_immediately": "True",
        "started": "True",
        "check_unhandled": "True",
        "remove_already_added": "True",
        "remove_unhandled": "True",
        "print_to_client": "True",
        "preload_fields": "name",
        "trace_inotify": "True",
        "cmd_NAME": "d.custom1.set=x",
    },
    "exporter": {
        "addr": "127.0.0.1",
        "port": "8000",
        "jobs": "system,item,tracker",
        "prefix": "rtorrent_",
        "item-stats": "size_bytes",
        "item-labels": "name",
    },
}
OF_THE_GROUP = (
    "config.toml", "PYRO_CONF", "[ALIASES]", "[CONNECTIONS]", "scgi_url", "autoreload", "log_level", "log_file",
    "log_format", "pid_file", "--adopt-stale-pid-file", "--log-file", "--run-once", "jitter",
    "pyroadmin config --check", "pyroadmin config --create-rtorrent-rc",
    "Action", "Command", "ItemCommand", "PathMover", "Mover",
)  # fmt: skip
KNOWN = [(job, name, value) for job, settings in OF_PYROSIMPLE.items() for name, value in settings.items()]


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "torque.ini").write_text(text)
    return load(folder, Options()).settings


def refusal(folder: Path, text: str) -> str:
    try:
        settings_of(folder, text)
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("job", "name", "value"), KNOWN)
def test_a_setting_of_pyrosimple_is_documented_and_works_or_names_its_replacement(
    tmp_path: Path, job: str, name: str, value: str
) -> None:
    assert re.search(rf"`{re.escape(name)}[` ]", PYROSIMPLE), "it has a line in the tables"
    said = refusal(tmp_path, f"[TORQUE]\njob.{job}.{name} = {value}\n")
    assert not said or re.search(r"set \w+ = \w+ .*instead", said)


@pytest.mark.parametrize("name", OF_THE_GROUP)
def test_a_setting_outside_of_jobs_is_documented_too(name: str) -> None:
    assert re.search(rf"`[^`]*{re.escape(name)}", PYROSIMPLE)


def test_the_example_means_the_same_in_both_files(tmp_path: Path) -> None:
    (toml,) = (block for block in blocks("toml") if block.page == "docs/migration.md")
    ini = next(block for block in blocks("ini") if block.before == toml.text)
    old = tomllib.loads(toml.text)["TORQUE"]
    jobs = {job.name: job for job in settings_of(tmp_path, ini.text).jobs}
    queue, watch = jobs["queue"], jobs["watch"]
    assert isinstance(queue, QueueSettings)
    assert isinstance(watch, WatchSettings)
    assert parse(queue.startable) == parse(old["queue"]["matcher"])
    assert (queue.schedule, queue.sort_fields) == (old["queue"]["schedule"], old["queue"]["sort"])
    assert (queue.downloading_max, queue.intermission) == (
        old["queue"]["downloading_max"],
        old["queue"]["intermission"],
    )
    assert ([str(root) for root in watch.path], watch.load_mode) == ([old["watch"]["path"]], "start")
    ((name, command),) = watch.commands
    assert name == "label"
    assert command.endswith(old["watch"]["cmd_label"].replace("rel_path", "relpath"))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("loaded=+1w", "loaded>1w"),
        ("loaded=-1w", "loaded<1w"),
        ('message=""', "message="),
        ("loaded<1h30i", "loaded<1h30i"),
        ("[ NOT custom_1=tv ]", "[ NOT custom_1=tv ]"),
        ("tagged==seen", "tagged==seen"),
    ],
)
def test_what_the_table_of_conditions_says_is_so(text: str, normal: str) -> None:
    assert str(parse(text)) == normal


@pytest.mark.parametrize("text", ["loaded<1h30m", "f_path=x", "guessit_title=x"])
def test_what_the_table_says_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        parse(text)


def test_a_flag_of_case_behind_a_condition_is_refused() -> None:
    item = {"name": "some X"}
    assert parse("name=/x/").matches(item, 0.0)
    with pytest.raises(ConditionError, match="between slashes only"):
        parse("name=/x/i")


def test_the_limits_of_qbit_manage_have_the_same_numbers_here() -> None:
    (shown,) = (block for block in blocks("yaml") if block.page == "docs/migration.md")
    limits = YAML(typ="safe").load(shown.text)
    rule = limits["share_limits"]["noHL"]
    (ini,) = (block.text for block in blocks("ini") if "job.limits.handler" in block.text)
    here = dict(re.findall(r"^job\.(\S+)\s+= (.*)$", ini, re.MULTILINE))
    assert float(here["limits.rule.1.min_ratio"]) == rule["max_ratio"]
    assert here["limits.rule.1.min_seedtime"] == rule["max_seeding_time"]
    assert int(here["limits.rule.1.min_seeds"]) == rule["min_num_seeds"]
    assert f"seeded>={rule['min_seeding_time']}" in here["limits.rule.1.condition"]
    assert here["limits.keep_for"] == f"{limits['recyclebin']['empty_after_x_days']}d"
    orphaned = limits["orphaned"]
    assert here["loose.keep_for"] == f"{orphaned['empty_after_x_days']}d"
    assert here["loose.seen_for"] == f"{orphaned['min_file_age_minutes'] // 1440}d"
    assert int(here["loose.max_files"]) == orphaned["max_orphaned_files_to_delete"]
