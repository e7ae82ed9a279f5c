"""Answers the questions of other groups: so many a second, whatever arrives."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque_fleet.exchange import Asked
from pyrotorque_fleet.facts import find
from pyrotorque_fleet.holders import ItemHolders
from pyrotorque_fleet.messages import BadValue, BidRefusal, Held, decode_question, encode

_EVERY: Final = {"find": 0.5, "holds": 0.02, "why": 0.1}
"""Seconds between two questions of a kind that are answered; most cost a call of rTorrent."""
_BURST: Final = {"find": 1, "holds": 20, "why": 5}
"""So many that arrive together are answered."""


@dataclass
class GroupQuestions:
    """`refusal(info_hash, now)` is why this group does not take a claim; `bad_value` counts what is not valid."""

    group: str
    rtorrent: RTorrent | None
    holders: ItemHolders
    refusal: Callable[[str, float], str]
    bad_value: Callable[[], None]
    holds_name: Callable[[float], bool] = lambda _: True
    """Whether no other process uses the name of this group, so that this one can say what the group lacks."""
    _answered: dict[str, float] = field(default_factory=dict[str, float])

    def answer_all(self, asked: deque[Asked], now: float) -> None:
        """Answer the questions that are there; others may arrive meanwhile."""
        for _ in range(len(asked)):
            each = asked.popleft()
            self.answer(each.payload, each.reply, now)

    def answer(self, payload: bytes, reply: Callable[[bytes], None], now: float) -> None:
        """Answer, unless too many ask. `now` is CLOCK_MONOTONIC."""
        try:
            question = decode_question(payload)
        except BadValue:
            self.bad_value()
            return
        if not self._may_answer(question.kind, now):
            return
        match question.kind:
            case "find":
                reply(encode(find(question, self.group, self.rtorrent)))
            case "holds":
                held = self.holders.answer(question.sought)
                if not self.holds_name(now):
                    # What it has is there; that it lacks something says nothing about the group with its name.
                    held = Held(group=self.group, items=held.kept or (), siblings=held.siblings)
                reply(encode(held))
            case "why":
                reason = printable(self.refusal(question.text.upper(), now))[:600]
                reply(encode(BidRefusal(group=self.group, reason=reason)))

    def _may_answer(self, kind: str, now: float) -> bool:
        every = _EVERY[kind]
        at = max(self._answered.get(kind, -1e9), now - _BURST[kind] * every)
        if at + every > now:
            return False
        self._answered[kind] = at + every
        return True
