"""Requests and responses of HTTP: parsed from the head of a request, and encoded; nothing here waits."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from pyrotorque.request_target import absolute_target

_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request; header names are lower case, `client` is whose it is."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    client: str = ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response; the connection is closed after it."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def encode(self, *, head_only: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_REASONS[self.status]}", f"Content-Type: {self.content_type}"]
        lines += [f"Content-Length: {len(self.body)}", "Connection: close", "Cache-Control: no-store"]
        lines += ["X-Content-Type-Options: nosniff"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        return head if head_only else head + self.body


class BadRequest(Exception):
    """The head of a request is invalid; `status` is the response's status."""

    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


def parse_head(head: bytes, client: str = "") -> HttpRequest:
    """The request of `client` in `head` (without the empty line).

    Raises BadRequest for anything that is not HTTP/1.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise BadRequest(400)
    pairs = [line.partition(":") for line in lines]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if sum(name.strip().lower() == "host" for name, _, _ in pairs) > 1:
        raise BadRequest(400)
    target = parts[1]
    if found := absolute_target(target):
        headers["host"], target = found
    if not target.startswith("/"):
        raise BadRequest(400)
    path, _, query_text = target.partition("#")[0].partition("?")
    try:
        query = parse_qs(query_text, max_num_fields=64)
    except ValueError as error:
        raise BadRequest(400) from error
    return HttpRequest(parts[0], path, query, headers, client)


def accepts_gzip(header: str) -> bool:
    """Whether a header Accept-Encoding allows gzip: a weight of 0 excludes it."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        coding, *parameters = (each.strip() for each in part.split(";"))
        weights[coding] = 1.0
        for name, _, value in (each.partition("=") for each in parameters):
            if name.strip() == "q":
                weights[coding] = _weight(value)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def error_response(status: int) -> HttpResponse:
    return HttpResponse(status, f"{_REASONS[status]}\n".encode())
