"""Values of files are read in calls that are short for rTorrent, whatever an item has."""

from collections.abc import Sequence
from typing import Any

import pytest

from pyrotorque.rtorrent.file_values import (
    FILES_MAX,
    ITEMS_MAX,
    SINGLE_MAX,
    file_numbers,
    fit_in_one_call,
    items_in_call,
)


class Source:
    """Answers with the size of each file, which is its number, and notes what each call reads."""

    def __init__(self, files: dict[str, int]) -> None:
        self.files = files
        self.calls: list[int] = []
        """The files of each call."""
        self.items: list[int] = []

    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]:
        if calls[0][0] == "view.size":
            return [len(self.files)]
        answers: list[Any] = []
        read = 0
        for _, (target, *_) in calls:
            info_hash, is_single, number = target.partition(":f")
            if info_hash not in self.files:
                answers.append(RuntimeError("erased"))
            elif is_single:
                answers.append(f"{number}s")
                read += 1
            else:
                answers.append("".join(f"{each}s" for each in range(self.files[info_hash])))
                read += self.files[info_hash]
        self.calls.append(read)
        self.items.append(len({target.partition(":")[0] for _, (target, *_) in calls}))
        return answers


@pytest.mark.parametrize(
    "files",
    [
        {f"{number:040X}": 20 for number in range(2_000)},
        {f"{number:040X}": 1 for number in range(10_000)},
        {f"{number:040X}": 2_000 for number in range(30)},
        {"A" * 40: 100_000, "B" * 40: 3, "C" * 40: FILES_MAX, "D" * 40: FILES_MAX + 1},
    ],
    ids=["2,000 items of 20", "10,000 items of one", "2,000 files each", "one huge item"],
)
def test_no_call_reads_more_than_rtorrent_can_answer_quickly(files: dict[str, int]) -> None:
    source = Source(files)
    found = file_numbers(source, files, ["f.size_bytes="])
    assert {info_hash: len(rows) for info_hash, rows in found.items()} == files
    assert all(rows == [[number] for number in range(len(rows))] for rows in found.values())
    assert max(source.calls) <= FILES_MAX
    assert max(source.items) <= ITEMS_MAX
    assert max(source.items) <= items_in_call(len(files))
    assert len(source.calls) <= sum(files.values()) / SINGLE_MAX + len(files) / items_in_call(len(files)) + 3


def test_more_items_make_a_call_that_names_them_shorter() -> None:
    """rTorrent looks for each from the beginning of its list."""
    assert [items_in_call(count) for count in (0, 100, 2_000, 10_000, 100_000)] == [ITEMS_MAX, ITEMS_MAX, 100, 20, 10]


def test_few_files_of_all_items_are_read_in_one_call() -> None:
    assert fit_in_one_call([1] * 10_000)
    assert fit_in_one_call([2] * 10_000)
    assert not fit_in_one_call([20] * 2_000)
    assert not fit_in_one_call([1] * 2_000 + [100_000])


def test_an_item_that_was_erased_meanwhile_is_missing() -> None:
    source = Source({"A" * 40: 2})
    assert file_numbers(source, {"A" * 40: 2, "B" * 40: 2, "C" * 40: FILES_MAX + 1}, ["f.size_bytes="]) == {
        "A" * 40: [[0], [1]]
    }
    assert file_numbers(source, {}, ["f.size_bytes="]) == {}
