"""Settings of a clean-up job: mistyped ones, and combinations that cannot work, are errors."""

from pathlib import Path
from typing import Any

import pytest

from pyrotorque.errors import UserError
from pyrotorque.housekeeping.cleanup_settings import private_below, read_cleanup
from pyrotorque.jobs import JobConfig

PLAIN = {"job_name": "tidy", "condition": "is_complete=yes"}
DATA = {**PLAIN, "data": "quarantine", "below": "/srv/torrents", "others": "none"}


def test_the_defaults_keep_data_and_need_a_week() -> None:
    found = read_cleanup(JobConfig(PLAIN))
    assert (found.data, found.limits.min_ratio, found.limits.min_seedtime) == ("keep", 1.0, 7 * 86_400)
    assert (found.caps.max_items, found.caps.max_percent, found.shared, found.linked) == (10, 5.0, "skip", "skip")


def test_rules_have_the_minima_of_the_job_where_they_set_none() -> None:
    rules = {
        "rule.99.condition": "custom_1=tv", "rule.99.never": True,
        "rule.10.condition": "alias=strict", "rule.10.min_ratio": "1.5", "rule.10.satisfied": "any",
    }  # fmt: skip
    found = read_cleanup(JobConfig({**PLAIN, "min_seeds": 3, **rules}))
    assert [rule.number for rule in found.rules] == [10, 99]
    assert (found.rules[0].limits.min_ratio, found.rules[0].limits.min_seeds) == (1.5, 3)
    assert found.rules[0].limits.satisfied == "any"
    assert found.rules[1].limits.never


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"condition": ""}, "condition is not set"),
        ({"min_seedtmie": "7d"}, "min_seedtmie is no setting .* did you mean"),
        ({"rule.10.min_ratoi": "1", "rule.10.condition": "x"}, "rule.10.min_ratoi is no setting"),
        ({"rule.01.min_ratio": "1"}, "rule.01.min_ratio is no setting"),
        ({"rule.10.min_ratio": "1"}, "rule.10.condition is not set"),
        ({"min_seedtime": "a week"}, "min_seedtime is 'a week': expected a duration"),
        ({"min_ratio": "-1"}, "min_ratio is -1: expected a number from 0"),
        ({"min_ratio": "nan"}, "min_ratio is nan"),
        ({"max_percent": "200"}, "max_percent is 200"),
        ({"max_items": "-1"}, "max_items is '-1'"),
        ({"data": "remove"}, "data is 'remove': expected one of keep, quarantine, delete"),
        ({"below": ""}, "below is not set"),
        ({"below": "/"}, "below is /: name the folder of the downloads"),
        ({"below": "downloads"}, "below is 'downloads': expected absolute paths"),
        ({"others": ""}, "others is not set"),
        ({"others": "nothing"}, "others: nothing is not an absolute path"),
        ({"phrases": "gone, no"}, "phrases has 'gone'"),
        ({"shared": "all"}, "shared is 'all'"),
        ({"min_free": "10g"}, "min_free cannot be reached: data = quarantine frees nothing"),
        ({"data": "keep", "min_free": "10g"}, "min_free cannot be reached"),
        ({"data": "keep"}, "below has no effect with data = keep"),
        ({"data": "delete", "min_free": "10g", "until_free": "5g"}, "until_free is less than min_free"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_cleanup(JobConfig({**DATA, **changes}))


def test_a_folder_that_holds_private_ones_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "downloads").mkdir()
    assert "session" in private_below((tmp_path,), (tmp_path / "session",))
    assert private_below((tmp_path / "downloads",), (tmp_path / "session",)) == ""
