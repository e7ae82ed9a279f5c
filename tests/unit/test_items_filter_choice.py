"""The filter for rTorrent is chosen by measuring its parts, and measured again when the items have changed."""

from collections.abc import Sequence

from pyrotorque.items.filter_choice import FilterChoice, cheapest

FILTERS = ("and={d.priority=,not=$d.is_open=}", "d.priority=", "not=$d.is_open=")


def truths(*counts: tuple[int, bool, bool]) -> list[tuple[bool, bool]]:
    """Verdicts of both parts for so many items of each sort."""
    return [(first, second) for count, first, second in counts for _ in range(count)]


def test_no_filter_is_best_if_nearly_all_items_pass() -> None:
    assert cheapest(FILTERS, truths((9_000, True, True), (1_000, False, True)), 10) == (-1, 10_000)


def test_one_part_is_best_if_it_excludes_as_many_as_both() -> None:
    assert cheapest(FILTERS, truths((10, True, True), (9_990, True, False)), 10) == (2, 10)
    assert cheapest(FILTERS, truths((10, True, True), (9_990, False, True)), 10) == (1, 10)


def test_both_are_best_if_each_excludes_half() -> None:
    assert cheapest(FILTERS, truths((10, True, True), (5_000, False, True), (4_990, True, False)), 10) == (0, 10)


def test_a_single_part_is_compared_with_no_filter() -> None:
    assert cheapest(("d.priority=",), [(False,)] * 100, 3) == (0, 0)
    assert cheapest(("d.priority=",), [(True,)] * 100, 3) == (-1, 100)


def test_without_items_no_filter_is_chosen() -> None:
    assert cheapest(FILTERS, [], 5) == (-1, 0)


class Items:
    """Items of which so many are switched off; counts how often all of them were read."""

    def __init__(self, off: int, whole: int = 10_000) -> None:
        self.off, self.whole, self.asked = off, whole, 0

    def __call__(self, commands: Sequence[str]) -> list[tuple[str, ...]]:
        self.asked += 1
        row = {"d.priority=": "2", "not=$d.is_open=": "1"}
        off = {**row, "d.priority=": "0"}
        return [tuple((off if n < self.off else row)[name] for name in commands) for n in range(self.whole)]

    def passing(self, where: str) -> int:
        return self.whole - self.off if "priority" in where else self.whole


def history(plan: FilterChoice, items: Items, reads: int) -> list[str]:
    used: list[str] = []
    for _ in range(reads):
        used.append(plan.choose(FILTERS, 10, items))
        plan.learn(items.passing(used[-1]), items.whole - items.off)
    return used


def test_without_a_measurement_all_parts_are_used_together() -> None:
    plan = FilterChoice()
    assert [plan.choose(FILTERS, 10, None), plan.choose(FILTERS, 10, None)] == [FILTERS[0]] * 2
    assert plan.choose((), 10, None) == ""


def test_it_measures_once_and_keeps_the_choice() -> None:
    items = Items(off=9_990)
    assert history(FilterChoice(), items, 200) == ["d.priority="] * 200
    assert items.asked == 1


def test_it_measures_again_after_a_number_of_reads() -> None:
    items = Items(off=9_990)
    history(FilterChoice(), items, 500)
    assert items.asked == 3


def test_it_measures_again_when_many_more_items_pass() -> None:
    items, plan = Items(off=9_990), FilterChoice()
    history(plan, items, 3)
    items.off = 0
    assert history(plan, items, 3) == ["d.priority=", "", ""]


def test_it_measures_again_when_most_items_would_be_excluded() -> None:
    items, plan = Items(off=0), FilterChoice()
    assert history(plan, items, 3) == ["", "", ""]
    items.off = 9_990
    assert history(plan, items, 30)[-1] == "d.priority="
    assert items.asked == 2


def test_other_filters_are_measured_again() -> None:
    items, plan = Items(off=9_990), FilterChoice()
    history(plan, items, 2)
    assert plan.choose(FILTERS[1:2], 10, None) == "d.priority="
    assert plan.choose(FILTERS, 10, None) == FILTERS[0]
