"""The real text of items from rTorrent's answers: decoded, confirmed, and read alone only where needed."""

from collections.abc import Sequence

import pytest

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Param, Value
from pyrotorque.rtorrent.item_texts import ItemText, SingleTexts, equal_call, exact_command, item_text, unmarked
from pyrotorque.rtorrent.packed_rows import Form


class FakeMulticall:
    """Prints `text` for each item as 0.16 does; None is an item that was erased."""

    def __init__(self, text: str | None, equal: int = 1) -> None:
        self.text, self.equal = text, equal
        self.calls: list[str] = []

    def __call__(self, calls: Sequence[tuple[str, Sequence[Param]]]) -> list[Value | RTorrentFault]:
        self.calls += [method for method, _ in calls]
        return [self._answer(method, params) for method, params in calls]

    def _answer(self, method: str, params: Sequence[Param]) -> Value | RTorrentFault:
        if method == "equal":
            return self.equal
        if self.text is None:
            return RTorrentFault("no such item")
        mark = str(params[-1]).rpartition(',"')[2].rstrip('"')
        return self.text + (mark.replace("é", "%C3%A9") if "%" in self.text else mark)


@pytest.mark.parametrize(
    ("printed", "equal", "expected"),
    [
        ("plain", 1, ItemText("plain", Form.EXACT)),
        ("bad%FF%0A %41 100%", 1, ItemText("bad\udcff\n %41 100%", Form.EXACT)),
        ("bad%FF %C3%BC", 0, ItemText("bad\udcff ü", Form.ESCAPED)),
    ],
)
def test_a_decoded_text_is_exact_if_rtorrent_confirms_it(printed: str, equal: int, expected: ItemText) -> None:
    assert item_text(FakeMulticall(printed, equal), "A", "d.custom=x") == expected


def test_a_text_of_an_item_that_was_erased_is_a_fault() -> None:
    with pytest.raises(RTorrentFault, match="no such item"):
        item_text(FakeMulticall(None), "A", "d.name=")


def test_texts_that_hardly_change_are_read_alone_once() -> None:
    texts, multicall = SingleTexts(), FakeMulticall("ü")
    wanted = [("A", "d.name=", "??"), ("A", "d.custom=x", "??")]
    assert [texts.read(multicall, wanted) for _ in range(3)] == [["ü", "ü"]] * 3
    assert len(multicall.calls) == 2 + 1 + 1
    assert texts.read(multicall, [("A", "d.name=", "???")]) == ["ü"]
    assert len(multicall.calls) == 5, "the row shows another text"


def test_a_text_of_an_item_that_was_erased_meanwhile_is_that_of_the_row() -> None:
    assert SingleTexts().read(FakeMulticall(None), [("A", "d.name=", "??")]) == ["??"]


def test_a_text_without_a_mark_is_taken_as_it_is() -> None:
    assert unmarked("100%C3%BC", "éabc") == "100%C3%BC"
    assert unmarked("xéabc", "éabc") == "x"


def test_an_exact_command_is_used_where_rtorrent_has_it() -> None:
    assert exact_command("d.name=", lambda _: True) == "d.name.base64="
    assert exact_command("d.name=", lambda _: False) == "d.name="
    assert exact_command("d.hash=", lambda _: True) == "d.hash="


def test_a_value_is_compared_as_one_quoted_argument() -> None:
    assert equal_call("A", "d.name=", b'a"\\,b') == ("equal", ("A", "d.name=", b'cat="a\\"\\\\,b"'))
