"""Fields of a config.py are computed in a separate process: on any failure the caller gets one error."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyrotorque.conditions import parse
from pyrotorque.customfields import CustomFieldWorker, field
from pyrotorque.customfields import worker as worker_module
from pyrotorque.errors import ConditionError, UserError
from pyrotorque.fields.kinds import Tags
from tests.waiting import bound

HEAD = "from pyrotorque.customfields import field\n"
BIG = HEAD + '@field("is_big", kind="bool", needs=("size",), doc="large")\ndef big(item):\n    return item.size > 10\n'
Workers = Callable[[str], CustomFieldWorker]
NEVER = 600.0  # seconds: the deadline of what ends by itself, on a machine that may be busy


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Workers]:
    made: list[CustomFieldWorker] = []

    def make(text: str) -> CustomFieldWorker:
        path = tmp_path / "config.py"
        path.write_text(text)
        made.append(CustomFieldWorker(path, deadline=NEVER))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_decorated_function_is_a_field_that_conditions_can_use(worker: Workers) -> None:
    running = worker(BIG)
    declared = running.declared()
    assert declared.problem == ""
    assert declared.fields["is_big"].doc == "large"
    assert declared.fields["is_big"].needs == ("size",)
    condition = parse("is_big=yes", custom=declared.fields)
    values = running.values(["is_big"], [{"hash": "AA", "size": 5}, {"hash": "BB", "size": 50}])
    assert values == {"is_big": [False, True]}
    assert condition.matches({"is_big": values["is_big"][1]}, now=0)


def test_many_items_go_in_batches_and_come_back_in_their_order(worker: Workers) -> None:
    running = worker(BIG)
    values = running.values(["is_big"], [{"hash": f"{n}", "size": n % 20} for n in range(2_500)])
    assert values["is_big"] == [n % 20 > 10 for n in range(2_500)]


def test_the_copy_that_was_checked_is_used_with_lines_of_the_file(worker: Workers, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    worker("def broken(")
    copy.write_text(BIG.replace("item.size > 10", "__file__.endswith('config.py') and item.size.missing"))
    with closing(CustomFieldWorker(tmp_path / "config.py", reviewed=copy, deadline=NEVER)) as running:
        assert running.declared().problem == ""
        assert running.values(["is_big"], [{"hash": "AA", "size": 5}]) == {"is_big": [None]}
        (tmp_path / "config.py").unlink()
        assert running.declared().fields.keys() == {"is_big"}
        copy.unlink()
        assert running.declared().fields == {}


def test_an_absent_file_declares_nothing(tmp_path: Path) -> None:
    assert CustomFieldWorker(tmp_path / "config.py").declared().fields == {}


@pytest.mark.parametrize(
    ("text", "line", "error"),
    [
        ("import os\nprint 'two'\n", 2, "SyntaxError"),
        ("\n\nfrom pyrocore.torrent import engine\n", 3, "ModuleNotFoundError"),
        ("raise SystemExit(3)\n", 1, "SystemExit"),
        (HEAD + "@field('a-b')\ndef f(item): pass\n", 2, "ValueError"),
        (HEAD + "@field('a', kind='strange')\ndef f(item): pass\n", 2, "ValueError"),
    ],
    ids=["Python 2", "imports pyrocore", "exits", "impossible name", "unknown kind"],
)
def test_a_file_that_cannot_be_read_is_one_problem_with_its_line(
    worker: Workers, text: str, line: int, error: str
) -> None:
    declared = worker(text).declared()
    assert declared.fields == {}
    assert f"config.py:{line}: {error}" in declared.problem
    with pytest.raises(ConditionError, match="there is no field `is_big`"):
        parse("is_big=yes", custom=declared.fields)


def test_an_error_for_one_item_makes_its_value_unknown_and_is_logged_once(
    worker: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    running = worker(
        HEAD + '@field("share", kind="number", needs=("size",))\ndef f(item):\n    return 10 / item.size\n'
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert running.values(["share"], [{"hash": "AA", "size": 0}, {"hash": "BB", "size": 5}]) == {
                "share": [None, 2.0]
            }
    assert [record.getMessage().count("ZeroDivisionError") for record in caplog.records] == [1]


@pytest.mark.parametrize(
    ("body", "deadline", "what"),
    [
        ("import os; os._exit(3)", NEVER, "ended"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", NEVER, "ended"),
        ("while True: pass", 0.4, "did not respond within 0.4 s"),
    ],
    ids=["exits", "crashes", "hangs"],
)
def test_what_ends_or_hangs_the_process_is_an_error_and_the_next_call_has_a_fresh_one(
    tmp_path: Path, body: str, deadline: float, what: str
) -> None:
    path = tmp_path / "config.py"
    path.write_text(HEAD + f'@field("bad", needs=("name",))\ndef f(item):\n    if item.name == "x":\n        {body}\n')
    running = CustomFieldWorker(path, deadline=NEVER)
    assert running.values(["bad"], [{"hash": "AA", "name": "ok"}]) == {"bad": [None]}
    running._deadline = deadline  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(UserError, match=what):
        running.values(["bad"], [{"hash": "AA", "name": "x"}])
    running._deadline = NEVER  # pyright: ignore[reportPrivateUsage]
    assert running.values(["bad"], [{"hash": "AA", "name": "ok"}]) == {"bad": [None]}
    running.close()


def test_batches_that_are_each_in_time_have_to_end_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guardian ends the scheduler when a check takes a minute."""
    monkeypatch.setattr(worker_module, "BATCH", 10)
    monkeypatch.setattr(worker_module, "_CALL_DEADLINES", 1 / NEVER)
    path = tmp_path / "config.py"
    path.write_text(HEAD + 'import time\n@field("slow")\ndef f(item):\n    time.sleep(0.01)\n')
    running = CustomFieldWorker(path, deadline=NEVER)
    assert running.values(["slow"], [{"hash": "AA"}]) == {"slow": [None]}
    began = time.monotonic()
    with pytest.raises(UserError, match="of 1000 items in 1 s"):
        running.values(["slow"], [{"hash": "AA"}] * 1_000)
    assert time.monotonic() - began < bound(10)
    running.close()


def test_what_the_file_prints_does_not_disturb_the_answers(worker: Workers) -> None:
    running = worker("print('hello')\n" + BIG.replace("    return", "    print('x' * 100)\n    return"))
    assert running.values(["is_big"], [{"hash": "AA", "size": 50}]) == {"is_big": [True]}


def test_values_take_the_shape_of_their_kind(worker: Workers) -> None:
    text = HEAD + "".join(
        f'@field("{name}", kind="{kind}")\ndef f{number}(item):\n    return {value}\n'
        for number, (name, kind, value) in enumerate(
            [("a", "tags", "{'New'}"), ("b", "text", "5"), ("c", "number", "'x'"), ("d", "files", "('q',)")]
        )
    )
    values = worker(text).values(["a", "b", "c", "d"], [{"hash": "AA"}])
    assert values == {"a": [Tags({"new"})], "b": ["5"], "c": [None], "d": [["q"]]}


def test_names_that_are_not_utf_8_reach_the_user_and_come_back(worker: Workers) -> None:
    running = worker(HEAD + '@field("same", needs=("name",))\ndef f(item):\n    return item.name\n')
    odd = b"a\xff\n\x00".decode("utf-8", "surrogateescape")
    assert running.values(["same"], [{"hash": "AA", "name": odd}]) == {"same": [odd]}


def test_the_process_is_another_one(worker: Workers) -> None:
    running = worker(HEAD + 'import os\n@field("pid", kind="number")\ndef f(item):\n    return os.getpid()\n')
    assert running.values(["pid"], [{"hash": "AA"}])["pid"] != [float(os.getpid())]


def test_the_decorator_leaves_the_function_as_it_is() -> None:
    @field("double", kind="number", needs=("size",))
    def double(item: dict[str, int]) -> int:
        """Twice the size.

        And more.
        """
        return 2 * item["size"]

    assert double({"size": 4}) == 8
