"""When it is certain that the servers lost what they had acknowledged: an old answer alone decides nothing."""

from typing import Final

LOST_AFTER: Final = 15.0
"""Seconds. A server that was cut off answers with old values for up to 10 s, until it steps down; one that was just
elected does until it has read its own log."""
_LOOK_EVERY: Final = 60.0
"""Seconds. After a longer pause two old answers may be of two elections."""
_KEYS_MAX: Final = 10_000


class LossWatch:
    """What the servers are behind with, by any key. `now` is CLOCK_MONOTONIC."""

    def __init__(self, after: float = LOST_AFTER) -> None:
        self._after = after
        self._behind: dict[str, tuple[float, float]] = {}
        """Since when, and when that was seen last."""

    def is_lost(self, key: str, now: float, *, is_behind: bool) -> bool:
        """Whether all answers have been behind what they had acknowledged for long enough."""
        if not is_behind:
            self._behind.pop(key, None)
            return False
        since, seen = self._behind.get(key, (now, now))
        if now - seen > _LOOK_EVERY:
            since = now
        if key not in self._behind and len(self._behind) >= _KEYS_MAX:
            self._behind = {each: (at, last) for each, (at, last) in self._behind.items() if now - last <= _LOOK_EVERY}
        self._behind[key] = (since, now)
        return now - since >= self._after

    def forget(self, key: str) -> None:
        """What was lost is known: the next answer is the first one again."""
        self._behind.pop(key, None)
