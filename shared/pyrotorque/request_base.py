"""The bases of all requests to services: see `pyrotorque.requests`."""

from typing import Annotated, ClassVar, TypeAlias

import msgspec

RowNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What SQLite can compare with the number of a row."""
PathText: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[^\0]*\Z")]
"""What the kernel accepts as a path."""


class RequestBase(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all requests."""


class ActionRequest(RequestBase, frozen=True, kw_only=True, tag=True):
    """Base of the requests that change something: `by` is who sent it, for the event `ActionTaken`."""

    by: str = ""
    word: ClassVar[str] = ""
    """The name of the action."""

    @property
    def action(self) -> str:
        """The word for it in the event."""
        return self.word

    @property
    def target(self) -> str:
        """What it is about: a job, an info-hash, or paths."""
        return ""
