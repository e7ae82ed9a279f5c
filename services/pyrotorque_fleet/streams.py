"""The streams and buckets of a fleet: their names, subjects and limits; creates those that are missing."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig

from pyrotorque.settings.schema import FleetSettings
from pyrotorque_fleet.claims import CHUNK
from pyrotorque_fleet.exchange import LinkError
from pyrotorque_fleet.messages import VALUE_MAX

_DAY: Final = 86_400
_GROUPS_BYTES: Final = 16 << 20
_EVENTS_BYTES: Final = 1 << 30
_EVENT_MAX: Final = 300 << 10
_EVENTS_AGE: Final = 30 * _DAY
_CLAIMS_BYTES: Final = 256 << 20
_METAFILES_BYTES: Final = 2 << 30
_METAFILES_AGE: Final = 7 * _DAY
_NO_CLUSTER: Final = 10074  # "replicas > 1 not supported in non-clustered mode"


class FleetStreams:
    """Those of the fleet in `settings`."""

    def __init__(self, settings: FleetSettings) -> None:
        self._settings = settings
        realm = settings.realm
        self.groups = f"{realm}_groups"
        self.claims = f"{realm}_claims"
        self.metafiles = f"{realm.upper()}_METAFILES"
        self.events = f"{realm.upper()}_EVENTS"

    def group_subject(self) -> str:
        """Of this group's value in the bucket of groups."""
        return f"$KV.{self.groups}.{self._settings.name}"

    def claim_subject(self, info_hash: str) -> str:
        return f"$KV.{self.claims}.{info_hash}"

    def chunk_subject(self, info_hash: str, sha256: str, number: int) -> str:
        """The subject names the content, so that storing it again changes nothing."""
        return f"{self._settings.realm}.metafile.{info_hash}.{sha256}.{number}"

    def event_subject(self, source: str) -> str:
        return f"{self._settings.realm}.events.{self._settings.name}.{source}"

    @property
    def ask_all(self) -> str:
        return f"{self._settings.realm}.ask.all"

    @property
    def ask_this(self) -> str:
        return f"{self._settings.realm}.ask.{self._settings.name}"

    def kind_of(self, subject: str) -> str:
        """What is written to this subject, in any case, as `refused_writes` names it; empty for other subjects."""
        realm = self._settings.realm.lower()
        kinds = {
            f"$kv.{self.claims}.".lower(): "claims",
            f"$kv.{self.groups}.".lower(): "heartbeats",
            f"{realm}.events.": "events",
            f"{realm}.metafile.": "metafiles",
        }
        return next((kind for start, kind in kinds.items() if subject.lower().startswith(start)), "")

    async def ensure(self, js: JetStreamContext) -> None:
        """Create what is missing; raises LinkError where an operator has to, or what NATS raises."""
        if not await self._exists(js, f"KV_{self.groups}"):
            await self._with_replicas(
                lambda replicas: js.add_stream(_bucket(self.groups, replicas, max_bytes=_GROUPS_BYTES, max_age=_DAY))
            )
        if not await self._exists(js, f"KV_{self.claims}"):
            await self._with_replicas(
                lambda replicas: js.add_stream(_bucket(self.claims, replicas, max_bytes=_CLAIMS_BYTES))
            )
        if not await self._exists(js, self.metafiles):
            await self._with_replicas(
                lambda replicas: js.add_stream(
                    StreamConfig(
                        name=self.metafiles, subjects=[f"{self._settings.realm}.metafile.>"], max_age=_METAFILES_AGE,
                        max_bytes=_METAFILES_BYTES, max_msg_size=CHUNK + 1024, max_msgs_per_subject=1,
                        discard=DiscardPolicy.NEW, num_replicas=replicas,
                    )
                )
            )  # fmt: skip
        if self._settings.events and not await self._exists(js, self.events):
            await self._with_replicas(
                lambda replicas: js.add_stream(
                    StreamConfig(
                        name=self.events, subjects=[f"{self._settings.realm}.events.>"], max_bytes=_EVENTS_BYTES,
                        max_age=_EVENTS_AGE, max_msg_size=_EVENT_MAX, discard=DiscardPolicy.OLD, num_replicas=replicas,
                    )
                )
            )  # fmt: skip

    async def _exists(self, js: JetStreamContext, stream: str) -> bool:
        try:
            await js.stream_info(stream)
        except nats.js.errors.NotFoundError:
            if not self._settings.create:
                raise LinkError(f"there is no stream {stream}, and fleet.create is False") from None
            return False
        return True

    async def _with_replicas(self, create: Callable[[int], Coroutine[Any, Any, Any]]) -> None:
        try:
            await create(self._settings.replicas or 3)
        except nats.js.errors.APIError as error:
            if self._settings.replicas or error.err_code != _NO_CLUSTER:
                raise
            await create(1)


def _bucket(name: str, replicas: int, *, max_bytes: int, max_age: int = 0) -> StreamConfig:
    """As `create_key_value` makes it, but without roll-ups: with them each group could erase the whole bucket."""
    return StreamConfig(
        name=f"KV_{name}", subjects=[f"$KV.{name}.>"], max_msgs_per_subject=1, max_msg_size=VALUE_MAX,
        max_bytes=max_bytes, max_age=max_age, discard=DiscardPolicy.NEW, deny_delete=True, allow_rollup_hdrs=False,
        num_replicas=replicas,
    )  # fmt: skip
