"""All problems of a configuration file are reported together, each with its place."""

from pathlib import Path

import pytest

from tests.configured import configured, problems


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("job.queue.downloading_mx = 3", "unknown setting, did you mean downloading_max?"),
        ("job.queue.zzz = 3", "unknown setting"),
        ("job.queue.downloading_max = many", "expected a whole number, got 'many'"),
        ("job.queue.downloading_max = -1", "expected a whole number that is not negative, got '-1'"),
        ("job.queue.intermission = 1 minute", "expected a number, got '1 minute'"),
        ("job.queue.active = perhaps", "expected True or False, got 'perhaps'"),
        ("job.queue.log_level = LOUD", "expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, got 'LOUD'"),
        ("job.queue.intermission = nan", "expected a number below 1000000000, got 'nan'"),
        ("read_timeout = inf", "expected a number below 1000000000, got 'inf'"),
        ("job.queue.min_free = lots", "expected a size such as 500m or 10g, got 'lots'"),
        ("job.queue.name = x", "unknown setting"),
        ("job.treewatch.on_loaded = burn", "expected one of keep, rename, move, delete, got 'burn'"),
        ("job.treewatch.tie = maybe", "expected one of auto, yes, no, got 'maybe'"),
        ("job.treewatch.path = watch", "expected an absolute path, got 'watch'"),
        ("job.treewatch.pth = /x", "unknown setting, did you mean path?"),
        ("job.treewatch.path_map = /here", "expected /path/here=/path/of/rtorrent, got '/here'"),
        (
            "log_level.watchr = debug",
            "is no service with a level of its own, did you mean watcher? (scheduler, watcher, exporter, panel, fleet)",
        ),
        ("log_level.watcher = LOUD", "expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, got 'LOUD'"),
        ("log_format = xml", "expected one of text, json, got 'xml'"),
        ("job.exporter.port = http", "expected a whole number, got 'http'"),
        (
            "job.queue.scgi_url = scgi:///x",
            "belongs into [TORQUE]: a second rTorrent needs its own configuration directory",
        ),
    ],
)
def test_a_wrong_setting_is_reported_with_file_line_and_key(tmp_path: Path, line: str, said: str) -> None:
    key = line.split(" = ")[0]
    assert problems(tmp_path, f"# first\n[TORQUE]\n{line}\n") == [f"torque.ini:3: {key}: {said}"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("job.queu.active = True", "job.queu.handler: is missing: the job has no class to run, did you mean queue?"),
        ("job.x.handler = nonsense", "job.x.handler: expected package.module:Class, got 'nonsense'"),
        ("job.x.handler = my.jobs:X", "job.x.schedule: is missing: set when the job runs, for example minute=*/5"),
        ("jobs.queue.active = 1", "is not of the form job.NAME.SETTING, did you mean job.queue.active?"),
        ("job.queue = 1", "is not of the form job.NAME.SETTING"),
        ("job.my job.active = 1", "job.NAME.SETTING: NAME 'my job' has other characters than letters of a to z"),
        ("job.müll.active = 1", "job.NAME.SETTING: NAME 'müll' has other characters than letters of a to z"),
        ("job.a/b.active = 1", "job.NAME.SETTING: NAME 'a/b' has other characters than letters of a to z"),
        ("job.my.own.handler = my.jobs:X", "has no class to run; its name cannot be my.own, with a dot"),
        ("job.my.own.job.handler = my.jobs:X", "has no class to run; its name cannot be my.own.job, with a dot"),
        ("dry_run = perhaps", "dry_run: expected True or False, got 'perhaps'"),
        ("a = %(nowhere)s", "%(nowhere)s is not a setting"),
    ],
)
def test_a_wrong_key_is_reported(tmp_path: Path, line: str, said: str) -> None:
    (found,) = problems(tmp_path, f"[TORQUE]\n{line}\n")
    assert found.startswith("torque.ini:2: ")
    assert said in found


@pytest.mark.parametrize("key", ["job.queue", "job.my job.active", "job..active", "job.active"])
def test_the_key_itself_is_not_suggested_for_it(tmp_path: Path, key: str) -> None:
    (found,) = problems(tmp_path, f"[TORQUE]\n{key} = 1\n")
    assert f"did you mean {key}?" not in found


def test_all_problems_are_reported_together_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = "[TORQUE]\njob.queue.downloading_mx = 3\nnonsense\njob.treewatch.queued = so so\n"
    assert [problem.split(": ")[0] for problem in problems(tmp_path, text)] == [
        "torque.ini:2",
        "torque.ini:3",
        "torque.ini:4",
    ]


def test_an_unknown_key_outside_of_jobs_is_only_a_warning(tmp_path: Path) -> None:
    loaded = configured(tmp_path, "[TORQUE]\nscgi_ur = scgi:///x\n")
    assert str(loaded.warnings[0]) == (
        "torque.ini:2: scgi_ur: is not a setting of pyrotorque and is ignored, did you mean scgi_url?"
    )


def test_an_active_job_without_successor_is_a_warning(tmp_path: Path) -> None:
    text = "[TORQUE]\njob.flux.handler = pyrocore.torrent.jobs:InfluxDBStats\njob.flux.active = True\n"
    loaded = configured(tmp_path, text)
    assert "is not run" in str(loaded.warnings[0])
    assert "flux" not in [job.name for job in loaded.settings.jobs]
