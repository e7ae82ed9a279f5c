"""Whether rTorrent answers: its absence is said once, its return too."""

import logging
from collections.abc import Callable

from pyrotorque.errors import RequestTooLarge, RTorrentError, RTorrentFault, UserError
from pyrotorque.logs import owner_log

log = logging.getLogger(__name__)


class Reach:
    """What talks to rTorrent goes through `tried`; `away` says why it cannot be had, or is None."""

    def __init__(self) -> None:
        self.away: str | None = None
        self._faults: set[str] = set()

    def tried(self, what: str, call: Callable[[], object]) -> bool:
        """Whether `call` came through; errors of rTorrent are said once, and the loop goes on with its next step.

        A call that returns False did without rTorrent: nothing is learned of it.
        """
        try:
            asked = call()
        except (RTorrentFault, RequestTooLarge) as error:
            self._refused(what, str(error))
        except RTorrentError as error:
            self._lost(str(error))
        except UserError as error:  # the fields of a user's config.py could not be computed
            self._complain(f"{what}: {error}")
        else:
            if asked is not False:
                self._found()
            return True
        return False

    def _lost(self, text: str) -> None:
        if self.away is None:
            log.warning("%s; waiting for it", text)
            owner_log(f"rTorrent is away: {text}")
        self.away = text

    def _found(self) -> None:
        if self.away is not None:
            log.info("rTorrent answers again")
            owner_log("rTorrent answers again")
        self.away = None
        self._faults.clear()

    def _refused(self, what: str, text: str) -> None:
        self.away = None
        self._complain(f"{what}: rTorrent refused: {text}")

    def _complain(self, text: str) -> None:
        if text not in self._faults:
            self._faults.add(text)
            log.error("%s", text)
