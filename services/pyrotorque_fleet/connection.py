"""One connection to NATS: always over TLS where the settings ask for it, and why there is none, in one sentence."""

import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from nats.aio.client import Client

from pyrotorque.settings.fleet import read_credentials
from pyrotorque.settings.schema import FleetSettings
from pyrotorque_fleet.exchange import LinkError

log = logging.getLogger(__name__)

_SYNCS_SINCE: Final = (2, 10)
_warned_of: set[tuple[int, int]] = set()
_PAYLOAD_MIN: Final = 320 << 10
"""Bytes; events have up to 300 KiB, chunks of metafiles 256 KiB, headers included."""
_CONNECT_TIMEOUT: Final = 2
_PING_INTERVAL: Final = 2
_PINGS_MISSED: Final = 2
_NO_TLS: Final = "the server offers no TLS, nothing was sent to it: use nats:// without fleet.ca, or configure it"
# What OpenSSL, NATS and asyncio say, and what to do about it. An error without a text is its type.
_REASONS: Final = {
    r"certificate is not valid for '([^']*)'": (
        r"the certificate of the server is not for \1: set fleet.servers to a name in it"
    ),
    r"certificate has expired": "the certificate of the server has expired",
    r"certificate verify failed: (?:unable to get|self.signed|invalid CA)": (
        "the certificate of the server is of no authority in fleet.ca (without it: of this system)"
    ),
    r"CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|BAD_CERTIFICATE": (
        "the server requires another certificate of this group: see fleet.certificate"
    ),
    r"WRONG_VERSION_NUMBER": "the server does not use TLS",
    r"NO_CERTIFICATE_OR_CRL|PEM lib|NO_START_LINE|KEY_VALUES_MISMATCH": (
        "fleet.ca, fleet.certificate or fleet.key has no valid certificate or key in PEM"
    ),
    r"(?i)^'?authorization violation": "the server refused the user of this group: see fleet.credentials",
    r"(?i)permissions violation for (\w+) to (\S+)": (
        r"the user of this group may not use \2 (\1): its permissions are for another fleet.name or fleet.realm"
    ),
    r"Connect call failed \('([^']*)', (\d+)": r"nothing listens on \1 port \2",
    r"^(?:Connection(?:Reset|Aborted)Error|BrokenPipeError|\[Errno (?:32|103|104)\])": (
        "the server ended the connection: see its log"
    ),
    r"^(?:EOFError|unexpected EOF|empty response)": "the server ended the connection: see its log",
    r"^(?:TimeoutError|timeout|connection timed out|stale connection)$": "the server does not answer",
    r"Name or service not known|name resolution|No address associated": "the name of a server is not known",
}


class FleetClient(Client):
    """A client of NATS. `open` connects it once; it is not used again."""

    def __init__(self, settings: FleetSettings) -> None:
        super().__init__()
        self._settings = settings
        self._wants_tls = bool(
            settings.ca or settings.certificate or any(each.startswith("tls:") for each in settings.servers)
        )

    async def open(self, on_error: Callable[[Exception], Awaitable[None]], on_lost: Callable[[], Any]) -> None:
        """Raises LinkError, or what NATS raises."""
        settings = self._settings
        options: dict[str, Any] = dict(read_credentials(settings.credentials)) if settings.credentials else {}
        if self._wants_tls:
            if not hasattr(Client, "_connect_command"):
                raise LinkError("this version of nats-py cannot be kept from sending the password without TLS")
            options["tls"] = _context(settings)
        await self.connect(
            servers=list(settings.servers),
            name=f"{settings.realm} {settings.name}",
            inbox_prefix=f"_INBOX_{settings.name}".encode(),
            allow_reconnect=False,
            connect_timeout=_CONNECT_TIMEOUT,
            ping_interval=_PING_INTERVAL,
            max_outstanding_pings=_PINGS_MISSED,
            # By default it keeps what could not be sent, and writes it long after its caller has given up.
            pending_size=0,
            error_cb=on_error,
            disconnected_cb=on_lost,
            closed_cb=on_lost,
            **options,
        )
        if self.max_payload < _PAYLOAD_MIN:
            raise LinkError(
                f"the server takes messages of {self.max_payload} bytes, and the fleet has some of {_PAYLOAD_MIN}: "
                "raise max_payload in its configuration"
            )
        found = self.connected_server_version
        if (found.major, found.minor) < _SYNCS_SINCE and (found.major, found.minor) not in _warned_of:
            _warned_of.add((found.major, found.minor))
            log.warning(
                "nats-server %d.%d acknowledges what it loses with the power for up to two minutes: 2.10 and newer can "
                "be set to sync_interval: always",
                found.major,
                found.minor,
            )

    def _connect_command(self) -> bytes:
        """The first line to the server, with the password: nats-py sends it unencrypted to one that offers no TLS."""
        if self._wants_tls and not self._server_info.get("tls_required"):
            raise LinkError(_NO_TLS)
        return super()._connect_command()


def _context(settings: FleetSettings) -> ssl.SSLContext:
    for path in (settings.ca, settings.certificate, settings.key):
        if path is not None and path.exists() and not path.is_file():
            raise LinkError(f"{path} is no file")  # a pipe would be waited for
    context = ssl.create_default_context(cafile=settings.ca)
    if settings.certificate is not None:
        context.load_cert_chain(settings.certificate, settings.key)
    return context


def clear_reason(text: str) -> str:
    """What an owner can do about a failed connection; the text itself if it is none of those that are known."""
    for pattern, reason in _REASONS.items():
        if found := re.search(pattern, text):
            return found.expand(reason)
    return text
