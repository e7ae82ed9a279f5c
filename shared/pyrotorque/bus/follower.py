"""Keeps the durable events of one source in order: drops duplicates, detects gaps, decides when to request a replay."""

from collections import deque
from dataclasses import dataclass, field

from pyrotorque.outbox import BEGINNING, Cursor

_REPLAY_TIMEOUT = 2.0
_RETRY_SOON_FOR = 2.0


@dataclass
class Follower:
    """The state of one source; holds no socket and no clock."""

    source: str
    position: Cursor
    """The last event that was handed out."""
    from_newest: bool = False
    """Without a saved cursor: start with new events, not with the oldest that the source still has."""
    known: Cursor = BEGINNING
    """The newest event that the source has announced."""
    saved: Cursor = BEGINNING
    """The cursor in the file."""
    unapplied: deque[Cursor] = field(default_factory=deque[Cursor])
    """Events that were handed out and not yet applied."""
    replay_number: int = 0
    """The number of the replay in progress; 0 for none."""
    _requested_at: float = 0.0
    _replays: int = 0
    _requested_from: Cursor = BEGINNING
    _behind: bool = True
    _behind_since: float = 0.0

    def __post_init__(self) -> None:
        # Events published while this process did not run are requested at once, not at the first heartbeat.
        self._behind = not (self.from_newest and self.position == BEGINNING)

    def accept(self, event: Cursor) -> bool:
        """Whether a durable event that arrived over PUB is the next one; if so it counts as handed out."""
        self.known = event
        if self.position == BEGINNING and self.from_newest:
            self.position = Cursor(event.epoch, event.seq - 1)
        if event == Cursor(self.position.epoch, self.position.seq + 1):
            self.position = event
            return True
        if event.epoch != self.position.epoch or event.seq > self.position.seq:
            self._behind = True
        return False

    def note_head(self, head: Cursor) -> None:
        """A heartbeat announced the newest event: detects a lost last event, a new epoch, or an older state."""
        self.known = head
        if self.position == BEGINNING and self.from_newest:
            self.position = head
        self._behind = self._behind or (head != self.position and head.seq > 0) or head.epoch != self.position.epoch

    def needs_replay(self, now: float) -> bool:
        """Whether to request a replay now: events are missing, and no reply is pending."""
        if not self._behind:
            self._behind_since = 0.0
            return False
        self._behind_since = self._behind_since or now
        return self.replay_number == 0 or now - self._requested_at > _REPLAY_TIMEOUT

    def should_retry_soon(self, now: float) -> bool:
        """Whether to retry soon a request that could not be sent; later only heartbeats trigger it."""
        return self._behind and self.replay_number == 0 and now - self._behind_since < _RETRY_SOON_FOR

    def begin_replay(self, now: float) -> int:
        """The number of the replay that is requested now."""
        self._replays += 1
        self.replay_number, self._requested_at, self._requested_from = self._replays, now, self.position
        return self.replay_number

    def is_current_reply(self, number: int) -> bool:
        """Whether this reply is current: not a late one, and no event was handed out since the request."""
        if number != self.replay_number or number == 0:
            return False
        self.replay_number = 0
        self._behind = self.position != self.known
        return self.position == self._requested_from

    def replayed(self, reached: Cursor, count: int) -> None:
        """A reply with `count` events was handed out; more are requested until the newest known one is reached."""
        self.position = reached
        self._behind = count > 0 and reached != self.known

    def rewind(self, saved: Cursor) -> None:
        """An event could not be applied: go back to the saved cursor and request the rest again."""
        self.unapplied.clear()
        self.position = self.saved = saved
        self.replay_number = 0
        self._behind = True

    def applied(self, event: Cursor) -> None:
        """`event` is applied and saved; events handed out before it were skipped on purpose."""
        while self.unapplied and self.unapplied.popleft() != event:
            pass
        self.saved = event
