"""Keeps the durable events of one source in order: which to hand out, which were had, and when to ask for a replay."""

from collections import deque
from dataclasses import dataclass, field

from pyrotorque.outbox import BEGINNING, Cursor

_ANSWER_WITHIN = 2.0
_IMPATIENT_FOR = 2.0


@dataclass
class Follower:
    """What is known of one source; holds no socket and no clock."""

    source: str
    position: Cursor
    """Everything up to here was handed out."""
    from_newest: bool = False
    """Without a cursor: begin with what happens from now on, not with the oldest that the source still has."""
    known: Cursor = BEGINNING
    """The newest event the source is known to have."""
    saved: Cursor = BEGINNING
    """What the cursor in the file says."""
    unapplied: deque[Cursor] = field(default_factory=deque[Cursor])
    """Handed out and not yet applied."""
    replay_number: int = 0
    """The number of the replay under way; 0 when there is none."""
    _asked_at: float = 0.0
    _asked_before: int = 0
    _asked_from: Cursor = BEGINNING
    _behind: bool = True
    _behind_since: float = 0.0

    def __post_init__(self) -> None:
        # What happened while we were away is asked for at once, not at the first heartbeat.
        self._behind = not (self.from_newest and self.position == BEGINNING)

    def accept(self, mark: Cursor) -> bool:
        """Whether a durable event that just came over PUB is the next one; if so it counts as handed out."""
        self.known = mark
        if self.position == BEGINNING and self.from_newest:
            self.position = Cursor(mark.epoch, mark.seq - 1)
        if mark == Cursor(self.position.epoch, self.position.seq + 1):
            self.position = mark
            return True
        if mark.epoch != self.position.epoch or mark.seq > self.position.seq:
            self._behind = True
        return False

    def note_head(self, head: Cursor) -> None:
        """The source says what its newest event is: a lost last one, another epoch, or a step back is noticed here."""
        self.known = head
        if self.position == BEGINNING and self.from_newest:
            self.position = head
        self._behind = self._behind or (head != self.position and head.seq > 0) or head.epoch != self.position.epoch

    def needs_replay(self, now: float) -> bool:
        """Whether to ask now: something is missing, and no answer is to be expected any more."""
        if not self._behind:
            self._behind_since = 0.0
            return False
        self._behind_since = self._behind_since or now
        return self.replay_number == 0 or now - self._asked_at > _ANSWER_WITHIN

    def should_retry_soon(self, now: float) -> bool:
        """Whether a question that could not be sent is worth another try soon; later only heartbeats remind us."""
        return self._behind and self.replay_number == 0 and now - self._behind_since < _IMPATIENT_FOR

    def begin_replay(self, now: float) -> int:
        """The number of the replay that is asked for now."""
        self._asked_before += 1
        self.replay_number, self._asked_at, self._asked_from = self._asked_before, now, self.position
        return self.replay_number

    def is_current_reply(self, number: int) -> bool:
        """Whether this is the answer waited for: not a late one, and nothing was handed out since the question."""
        if number != self.replay_number or number == 0:
            return False
        self.replay_number = 0
        self._behind = self.position != self.known
        return self.position == self._asked_from

    def replayed(self, reached: Cursor, count: int) -> None:
        """An answer with `count` events was handed out; more is asked for until the newest known is reached."""
        self.position = reached
        self._behind = count > 0 and reached != self.known

    def rewind(self, saved: Cursor) -> None:
        """What was handed out could not be applied: go back to the cursor and ask again."""
        self.unapplied.clear()
        self.position = self.saved = saved
        self.replay_number = 0
        self._behind = True

    def applied(self, mark: Cursor) -> None:
        """`mark` is applied and saved; what was handed out before it was passed over on purpose."""
        while self.unapplied and self.unapplied.popleft() != mark:
            pass
        self.saved = mark
