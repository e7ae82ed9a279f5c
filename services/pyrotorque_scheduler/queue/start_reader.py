"""Reads what became of starts, and in which session they must be saved."""

from collections.abc import Sequence

from pyrotorque.errors import RTorrentFault, RTorrentUnavailable
from pyrotorque.rtorrent import RTorrent, Value
from pyrotorque.rtorrent.identity import INCARNATION
from pyrotorque.rtorrent.session import Session
from pyrotorque_scheduler.queue.start_result import STATE_COMMANDS, StartResult, start_result


class StartReader:
    """`session` is that of the rTorrent that answered last.

    `rejected` is read twice. An rTorrent that ends pauses all items, and then answers the calls that it has received
    (seen on 0.9.8): nothing runs, they say. It saves the starts, though, and the next rTorrent runs these items. There
    is no second answer of the one that ends.
    """

    def __init__(self, rtorrent: RTorrent) -> None:
        self.session = Session()
        self._rtorrent = rtorrent

    def results(self, hashes: Sequence[str]) -> list[StartResult]:
        """What became of these starts. Raises RTorrentUnavailable."""
        results = self._read(hashes)
        rejected = [place for place, result in enumerate(results) if result.failure == "rejected"]
        for place, result in zip(rejected, self._read([hashes[place] for place in rejected]), strict=True):
            results[place] = result
        return results

    def confirmed(self, info_hash: str, result: StartResult) -> StartResult:
        """The result of a start that was just sent, after another reading where the first is not the last word.

        Raises RTorrentUnavailable, also if rTorrent was restarted in between: then the result is not known.
        """
        started_in = self.session.incarnation
        if result.hash_checking:
            result = self.results([info_hash])[0]
        elif result.failure == "rejected":
            again = self._read([info_hash])[0]
            # The answers to the start itself give the best reason.
            result = result if again.failure == "rejected" else again
        if self.session.incarnation != started_in:
            raise RTorrentUnavailable(f"rTorrent was restarted while it started {info_hash}")
        return result

    def locate_session(self, incarnation: Value | RTorrentFault) -> None:
        """Find the session of the rTorrent that answered, if it is another one than before.

        Raises RTorrentUnavailable, also if it was restarted since.
        """
        is_new = isinstance(incarnation, RTorrentFault)
        if is_new or str(incarnation) != self.session.incarnation:
            identity = self._rtorrent.identity()
            self.session.locate(self._rtorrent, identity)
            if not is_new and str(incarnation) != identity.incarnation:
                raise RTorrentUnavailable("rTorrent was restarted between two calls")

    def _read(self, hashes: Sequence[str]) -> list[StartResult]:
        if not hashes:
            return []
        count = len(STATE_COMMANDS)
        states = [(method, (h,)) for h in hashes for method in STATE_COMMANDS]
        *answers, incarnation = self._rtorrent.multicall([*states, (INCARNATION, ())])
        self.locate_session(incarnation)
        return [start_result(answers[n * count : (n + 1) * count]) for n in range(len(hashes))]
