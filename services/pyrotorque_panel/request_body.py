"""Reads a request: its headers, its body within the limit of the route, and forms with files."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request

from pyrotorque.request_target import absolute_target
from pyrotorque_panel.exchange import Upload
from pyrotorque_panel.gate import FORWARDED

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a client could fill the log with warnings
_FILES_MAX: Final = 200
FIELDS_MAX: Final = 60


class BodyTooLarge(Exception):
    """The body exceeds the limit of its route."""


def in_origin_form(scope: Message) -> Message:
    """The request as if its target had no host, which then is that of its header Host: the one that is judged."""
    found = absolute_target(scope.get("raw_path", b"").decode("latin-1"))
    if found is None:
        return scope
    host, path = found
    headers = [each for each in scope["headers"] if each[0] != b"host"]
    headers.append((b"host", host.encode("latin-1")))
    return {**scope, "path": unquote(path), "raw_path": path.encode("latin-1"), "headers": headers}


def headers_of(request: Request) -> dict[str, str]:
    """By name in lower case; of a repeated one the first, except cookies and what proxies add, which are all kept.

    A proxy may write its own word into a further line, after that of its client.
    """
    joined = {"cookie": "; "} | dict.fromkeys(FORWARDED, ", ")
    found = {name: separator.join(request.headers.getlist(name)) for name, separator in joined.items()}
    return dict(request.headers) | found


def limited_body(receive: Receive, most: int, headers: Mapping[str, str]) -> Receive:
    """The body within its limit; a larger one is refused before it is read, or when it exceeds the limit."""
    length = headers.get("content-length", "")
    received = 0

    async def read() -> Message:
        nonlocal received
        if length.isdecimal() and int(length) > most:
            raise BodyTooLarge
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise BodyTooLarge
        return message

    return read


async def multipart_form(request: Request) -> tuple[dict[str, list[str]], list[Upload]]:
    from starlette.datastructures import UploadFile
    from starlette.exceptions import HTTPException
    from starlette.formparsers import MultiPartException

    form: dict[str, list[str]] = {}
    files: list[Upload] = []
    try:
        async with request.form(max_files=_FILES_MAX, max_fields=FIELDS_MAX) as parsed:
            for name, value in parsed.multi_items():
                if isinstance(value, UploadFile):
                    if value.filename:
                        files.append(Upload(value.filename[:300], await value.read()))
                else:
                    form.setdefault(name, []).append(value)
    except (HTTPException, MultiPartException) as error:
        text = error.detail if isinstance(error, HTTPException) else error.message
        if text.startswith("Too many files"):
            text = f"it has more than {_FILES_MAX} files: send fewer at once"
        raise ValueError(text) from error
    return form, files
