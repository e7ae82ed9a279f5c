"""Which filter is used is learnt from rows: together first, then the first single part that excludes as much."""

from pyrotorque.items.habits import Habit

FILTERS = ("both", "complete", "prio")


def history(passing: dict[str, int], reads: int, habit: Habit | None = None) -> list[str]:
    """The filters of so many reads, while each filter lets so many rows pass."""
    habit = habit or Habit()
    used: list[str] = []
    for _ in range(reads):
        used.append(habit.choose(FILTERS))
        habit.learn(FILTERS, passing[used[-1]])
    return used


def test_a_single_part_that_excludes_as_much_is_kept() -> None:
    assert history({"both": 10, "complete": 12}, 5) == ["both", "complete", "complete", "complete", "complete"]


def test_the_next_part_is_tried_when_the_first_lets_more_pass() -> None:
    assert history({"both": 10, "complete": 9_000, "prio": 10}, 5) == ["both", "complete", "prio", "prio", "prio"]


def test_together_is_kept_when_no_part_suffices() -> None:
    assert history({"both": 10, "complete": 900, "prio": 900}, 5) == ["both", "complete", "prio", "both", "both"]


def test_without_a_filter_when_it_excludes_little() -> None:
    assert history({"both": 9_000, "": 10_000}, 4) == ["both", "", "", ""]


def test_with_a_filter_when_many_rows_are_still_few_of_all() -> None:
    assert history({"both": 900, "": 10_000, "complete": 950}, 4) == ["both", "", "complete", "complete"]


def test_a_change_of_the_items_starts_anew() -> None:
    habit = Habit()
    history({"both": 10, "complete": 12}, 3, habit)
    assert history({"both": 10, "complete": 5_000, "prio": 10}, 5, habit) == [
        "complete",
        "both",
        "complete",
        "prio",
        "prio",
    ]


def test_what_was_learnt_is_forgotten_after_a_while() -> None:
    assert history({"both": 10, "complete": 12}, 300).count("both") == 2


def test_a_condition_without_filters_reads_everything() -> None:
    habit = Habit()
    for _ in range(3):
        assert habit.choose(()) == ""
        habit.learn((), 10_000)
