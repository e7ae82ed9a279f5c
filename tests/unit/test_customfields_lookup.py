"""Conditions find the fields of config.py, which only runs when one of them is used."""

from contextlib import closing
from pathlib import Path

import pytest

from pyrotorque.conditions import parse, parse_sort
from pyrotorque.customfields import ConfigFields, worker_of
from pyrotorque.errors import ConditionError
from pyrotorque.fields import configured as configured_fields
from pyrotorque.validation import check
from tests.configured import configured

GOOD = """
from pathlib import Path
from pyrotorque.customfields import field

Path(__file__).with_name("ran").touch()

@field("is_big", kind="bool", needs=("size",), doc="larger than 10 GiB")
def is_big(item):
    return item.size > 10 * 2**30
"""
OLD = "from pyrocore import config\n"
QUEUE = "[TORQUE]\njob.queue.active = yes\njob.queue.startable = {}\n"


def fields(folder: Path, text: str | None) -> ConfigFields:
    path = folder / "config.py"
    if text is not None:
        path.write_text(text)
    return ConfigFields(path, configured_fields({"x.org": "X"}))


def test_config_py_is_run_only_for_a_name_that_is_not_defined_elsewhere(tmp_path: Path) -> None:
    table = fields(tmp_path, GOOD)
    parse("prio>0 alias=X custom_y=1", custom=table)
    assert not (tmp_path / "ran").exists()
    assert str(parse("is_big=yes", custom=table)) == "is_big=yes"
    assert (tmp_path / "ran").exists()
    assert parse_sort("-is_big", custom=table).fields == {"is_big"}
    table.close()


def test_one_process_serves_all_jobs_whatever_their_settings(tmp_path: Path) -> None:
    first = fields(tmp_path, GOOD)
    second = first.given(configured_fields(min_free=5))
    parse("is_big=yes", custom=second)
    (tmp_path / "ran").unlink()
    parse("is_big=no", custom=first)
    assert worker_of(first) is worker_of(second) is not None
    assert worker_of({}) is None
    assert not (tmp_path / "ran").exists()
    first.close()


def test_a_misspelt_name_is_compared_with_those_of_config_py(tmp_path: Path) -> None:
    table = fields(tmp_path, GOOD)
    with pytest.raises(ConditionError, match="did you mean `is_big`"):
        parse("is_bgi=yes", custom=table)
    assert {"is_big", "alias"} <= set(table)
    assert len(table) == len(set(table))
    table.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [(OLD, "config.py:1: ModuleNotFoundError"), ("x = 1\nprint 'two'\n", "config.py:2: SyntaxError")],
    ids=["pyrocore", "Python 2"],
)
def test_an_unknown_field_names_the_config_py_that_may_have_defined_it(tmp_path: Path, text: str, said: str) -> None:
    table = fields(tmp_path, text)
    with pytest.raises(ConditionError) as raised:
        parse("is_big=yes", custom=table)
    assert "there is no field `is_big`" in str(raised.value)
    assert f"the fields of config.py are unknown because it cannot be read: {tmp_path}/{said}" in str(raised.value)
    table.close()


def test_without_a_config_py_the_error_does_not_mention_it(tmp_path: Path) -> None:
    with pytest.raises(ConditionError) as raised:
        parse("is_big=yes", custom=fields(tmp_path, None))
    assert "config.py" not in str(raised.value)


def test_a_check_accepts_the_fields_of_config_py(tmp_path: Path) -> None:
    loaded = configured(tmp_path, QUEUE.format("is_big=no"))
    (loaded.layout.config_dir / "config.py").write_text(GOOD)
    assert check(loaded) == ([], [])


def test_a_config_py_that_cannot_be_read_is_one_warning_with_file_and_line(tmp_path: Path) -> None:
    loaded = configured(tmp_path, QUEUE.format("prio>0"))
    path = loaded.layout.config_dir / "config.py"
    path.write_text(OLD)
    problems, (warning,) = check(loaded)
    assert problems == []
    assert (warning.file, warning.line) == (str(path), 1)
    assert "cannot use its fields: ModuleNotFoundError: No module named 'pyrocore'" in warning.text


def test_it_is_an_error_only_for_a_condition_that_uses_what_it_would_define(tmp_path: Path) -> None:
    loaded = configured(tmp_path, QUEUE.format("is_big=no"))
    (loaded.layout.config_dir / "config.py").write_text(OLD)
    (problem,), warnings = check(loaded)
    assert problem.key == "job.queue.startable"
    assert "there is no field `is_big`" in problem.text
    assert "config.py:1" in problem.text
    assert len(warnings) == 1


@pytest.mark.parametrize("text", ["is_big", "!is_big=yes", "(is_big=yes)", "is_big = yes"])
def test_a_field_of_config_py_without_its_comparison_is_refused(tmp_path: Path, text: str) -> None:
    with closing(fields(tmp_path, GOOD)) as table, pytest.raises(ConditionError, match=r"write `.*is_big=yes"):
        parse(text, custom=table)


def test_names_do_not_run_config_py(tmp_path: Path) -> None:
    table = fields(tmp_path, GOOD)
    for name in ("foo", "[Group]*", "(C99).Name", "*=x*", "Some.Name=x", "~foo~", "big"):
        assert parse(name, custom=table).fields == {"name"}
    assert not (tmp_path / "ran").exists()
