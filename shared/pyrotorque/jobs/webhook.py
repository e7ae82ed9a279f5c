"""Sends one HTTP request to a webhook, without following redirects."""

import http.client
import urllib.error
import urllib.request
from email.message import Message as HttpHeaders
from typing import IO, Final

from pyrotorque.errors import UserError
from pyrotorque.text import printable

_RESPONSE_MAX: Final = 64 << 10
_ERROR_TEXT_MAX: Final = 200


class WebhookUnavailable(UserError):
    """The webhook did not accept the message; a retry may succeed."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HttpHeaders, newurl: str
    ) -> None:
        """Do not follow: the message is for this server only."""


def post(request: urllib.request.Request, *, within: float) -> None:
    """Raises WebhookUnavailable if a retry may succeed, else UserError."""
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(request, timeout=within) as response:
            response.read(_RESPONSE_MAX)
    except urllib.error.HTTPError as error:
        body = printable(error.read(_ERROR_TEXT_MAX))
        text = f"{request.host} answered {error.code} {printable(str(error.reason))}: {body}"
        error.close()
        # A message that the server rejects (4xx) would be rejected again.
        raise (WebhookUnavailable if error.code >= 500 or error.code == 429 else UserError)(text) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WebhookUnavailable(
            f"{request.host} did not respond (deadline {within:g} s): {printable(str(reason))}"
        ) from None
