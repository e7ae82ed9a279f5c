"""Requests about the fleet: between its process and the watcher of the same group, and of commands and the panel."""

from typing import ClassVar, Literal

import msgspec

from pyrotorque.request_base import ActionRequest, RequestBase, RowNumber


class SettledOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a metafile that was offered to the fleet, named by its row in the ledger.

    `keeps_file`: no group has just said that it has the item, so the metafile stays where it is.
    """

    turn: RowNumber
    token: str
    state: Literal["placed", "duplicate", "failed"]
    group: str = ""
    reason: str = ""
    keeps_file: bool = False


class SettleOffers(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: record what became of these; the answer has in `settled` how many were offers."""

    offers: tuple[SettledOffer, ...]


class PermitLoads(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: the fleet gave these items of the inbox to this group; the answer has the info-hashes without a row."""

    info_hashes: tuple[str, ...]


class DiscardLoads(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: erase these items of the inbox if they are still held; the answer has, by info-hash, why one is not."""

    info_hashes: tuple[str, ...]


class FindInFleet(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: ask all groups of the fleet for items with this info-hash, or this text in their name."""

    text: str


class ListClaims(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: the claims on metafiles, the newest change first; those in `state`, if it is not empty."""

    state: str = ""
    limit: int = 100


class WhyClaim(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: ask all groups why they do not take the metafile with this info-hash."""

    info_hash: str


class ListFleetEvents(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: events of all groups after this number of the stream; negative: so many of the newest."""

    after: RowNumber = -20
    limit: int = 100


class ReleaseClaim(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Fleet: take the metafile with this info-hash from its group, although that may have started it."""

    word: ClassVar[str] = "fleet-release"
    info_hash: str

    @property
    def target(self) -> str:
        return self.info_hash
