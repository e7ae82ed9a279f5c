"""The panel as an ASGI application: route, gate, a body within limits, and the handler in a thread."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import compile_path

from pyrotorque.errors import ActionRefused, PyrotorqueError, ServiceUnreachable, StateError, UnknownName, UserError
from pyrotorque.json_input import decode_json
from pyrotorque_panel.access import PanelIdentity
from pyrotorque_panel.cleaning import cleaned_text
from pyrotorque_panel.event_stream import stream_messages
from pyrotorque_panel.exchange import JSON, NotFound, PanelRequest, PanelResponse, PanelRoute, Upload, redirect
from pyrotorque_panel.gate import Admission, Gate, Refusal, RequestFacts
from pyrotorque_panel.handler_threads import HandlerThreads, TooManyRequests
from pyrotorque_panel.page_renderer import PageRenderer
from pyrotorque_panel.recent_events import RecentEvents, Streams
from pyrotorque_panel.request_body import (
    FIELDS_MAX,
    BodyTooLarge,
    Message,
    Receive,
    Send,
    headers_of,
    in_origin_form,
    limited_body,
    multipart_form,
)

log = logging.getLogger(__name__)

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UPLOADS_MAX: Final = 4
_UPLOADS_PER_CALLER: Final = 2
_URLENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"


class PanelApp:
    """`events` are those of each group by its name. People get errors as pages, programs as JSON."""

    def __init__(
        self,
        routes: Sequence[PanelRoute],
        gate: Gate,
        base_path: str,
        events: Mapping[str, RecentEvents],
        changed: Callable[[str], None],
        streams: Streams,
        renderer: PageRenderer,
    ) -> None:
        self.routes = tuple(routes)
        self._compiled = [(compile_path(route.path), route) for route in routes]
        self._gate = gate
        self._base = base_path.rstrip("/")
        self._events = events
        self.changed = changed
        """Something has happened in a group: what is shown of it is out of date."""
        self._streams = streams
        self._error_page = renderer.error_page
        self._threads: HandlerThreads | None = None
        self._uploads: Counter[str] = Counter()
        """By caller, those whose body is not complete, or that are carried out."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = in_origin_form(scope)
        response = await self._respond(scope, receive)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    async def _respond(self, scope: Message, receive: Receive) -> Response:
        request = Request(scope, receive)
        path = self._local_path(str(scope["path"]))
        route, params, allowed = self._match(request.method, path)
        kind = route.kind if route else "api" if path.startswith("/api/") else "page"
        try:
            facts = RequestFacts(
                method=request.method,
                kind=kind,
                scope=route.scope if route else "read",
                peer=scope["client"][0] if scope.get("client") else "",
                headers=headers_of(request),
                repeated=[name for name, count in Counter(request.headers.keys()).items() if count > 1],
            )
            admitted = self._gate.admit(facts, time.time())
            if isinstance(admitted, Refusal):
                return self._refused(kind, admitted)
            if route is None:
                if not allowed:
                    return self._error(kind, 404, "there is no such page", "not_found")
                made = self._error(kind, 405, "this path has no such method", "method")
                made.headers["Allow"] = ", ".join(allowed)
                return made
            return await self._handle(request, route, params, admitted)
        except ClientDisconnect:
            return Response(status_code=400)  # which it does not receive
        except BodyTooLarge:
            limit = route.body_max if route else 0
            return self._error(kind, 413, f"the request is larger than {limit} bytes", "too_large")

    async def _handle(
        self, request: Request, route: PanelRoute, params: Mapping[str, str], admitted: Admission
    ) -> Response:
        is_upload = route.body_max > 1 << 20
        caller = _caller(admitted.identity, admitted.address)
        if is_upload and (self._uploads[caller] >= _UPLOADS_PER_CALLER or self._uploads.total() >= _UPLOADS_MAX):
            return self._error(route.kind, 429, "other uploads are not complete yet", "busy")
        self._uploads[caller] += is_upload
        try:
            read = await self._read(request, route, params, admitted)
            if isinstance(read, Response):
                return read
            return await self._run(route, read)
        finally:
            self._uploads[caller] -= is_upload
            if not self._uploads[caller]:
                del self._uploads[caller]

    async def _run(self, route: PanelRoute, request: PanelRequest) -> Response:
        kind = route.kind
        try:
            made = await self._made(route, request)
        except TooManyRequests:
            return self._error(kind, 429, "other requests of yours are not answered yet", "busy")
        except (NotFound, UnknownName) as error:
            return self._error(kind, 404, str(error), "not_found")
        except ActionRefused as error:
            return self._error(kind, 409, str(error), "refused")
        except (UserError, ValueError) as error:
            return self._error(kind, 400, str(error), "invalid")
        except (ServiceUnreachable, StateError) as error:
            return self._error(kind, 503, str(error), "away")
        except PyrotorqueError as error:
            return self._error(kind, 409, str(error), "refused")
        except Exception:
            log.exception("unexpected error at %s %s", route.method, route.path)
            return self._error(kind, 500, "unexpected error, see log/panel.log", "error")
        if made.stream:
            return self._stream(made, request)
        return Response(made.body, made.status, dict(made.headers), made.content_type)

    async def _made(self, route: PanelRoute, request: PanelRequest) -> PanelResponse:
        if route.kind == "public" and route.method == "GET":
            return route.handler(request)  # it blocks on nothing, and must not wait for handlers that do
        self._threads = self._threads or HandlerThreads()  # made in the loop that uses it
        return await self._threads.run(_caller(request.identity, request.address), partial(route.handler, request))

    # -- reading

    def _local_path(self, path: str) -> str:
        """The path below the base path, which a proxy may have removed or not."""
        if self._base and (path == self._base or path.startswith(f"{self._base}/")):
            return path[len(self._base) :] or "/"
        return path

    def _match(self, method: str, path: str) -> tuple[PanelRoute | None, dict[str, str], list[str]]:
        """The route, its parameters, and the methods that the path has."""
        known: list[str] = []
        wanted = "GET" if method == "HEAD" else method
        for (pattern, _, _), route in self._compiled:
            if found := pattern.match(path):
                known.append(route.method)
                if route.method == wanted:
                    return route, found.groupdict(), known
        return None, {}, known

    async def _read(
        self, request: Request, route: PanelRoute, params: Mapping[str, str], admitted: Admission
    ) -> PanelRequest | Response:
        form: dict[str, list[str]] = {}
        files: list[Upload] = []
        body: Any = None
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        limited = Request(request.scope, limited_body(request.receive, route.body_max, request.headers))
        if request.method not in ("GET", "HEAD"):
            if route.kind == "api" and kind not in (JSON, ""):
                return self._error("api", 415, "send JSON: Content-Type: application/json", "media_type")
            try:
                if kind == _MULTIPART and route.kind != "api":
                    form, files = await multipart_form(limited)
                elif kind == _URLENCODED and route.kind != "api":
                    text = (await limited.body()).decode("utf-8", "replace")
                    form = parse_qs(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)
                elif route.kind == "api" and (content := await limited.body()):
                    body = decode_json(content)
            except (ValueError, KeyError) as error:
                return self._error(route.kind, 400, f"the body cannot be read: {error}", "invalid")
            who = admitted.identity
            if route.kind == "page" and who and not self._gate.is_form_token(who, "".join(form.get("token", ()))):
                return self._error("page", 403, "this form is too old: load the page again", "form_token")
        return PanelRequest(
            params=params,
            query=dict(request.query_params),
            headers=headers_of(request),
            identity=admitted.identity,
            address=admitted.address,
            is_https=admitted.is_https,
            form=form,
            body=body,
            files=files,
        )

    # -- answers

    def _refused(self, kind: str, refusal: Refusal) -> Response:
        if kind == "page" and refusal.status == 401:
            made = redirect(f"{self._base}/login")
            return Response(status_code=made.status, headers=dict(made.headers))
        answer = self._error(kind, refusal.status, refusal.text, refusal.kind)
        if refusal.kind == "bad_request":
            answer.headers["Connection"] = "close"  # where its body ends is not certain
        return answer

    def _error(self, kind: str, status: int, text: str, word: str) -> Response:
        text = cleaned_text(text)
        headers = {"Retry-After": "5"} if status in (429, 503) else {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if kind == "api":
            return Response(msgspec.json.encode({"error": text, "kind": word}), status, headers, JSON)
        return Response(self._error_page(status, text), status, headers, "text/html; charset=utf-8")

    def _stream(self, made: PanelResponse, request: PanelRequest) -> Response:
        group = request.params["group"]
        queue = self._streams.open(request.who.name, group)
        if queue is None:
            return self._error("api", 429, "too many streams are open", "busy")
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            stream_messages(self._events[group], self._streams, queue, made, self._admission_of(request.who)),
            headers=headers,
            media_type="text/event-stream",
        )

    def _admission_of(self, who: PanelIdentity) -> Callable[[], bool]:
        """Whether a stream that begins now may go on."""
        begun = time.monotonic()
        return lambda: self._gate.is_still_admitted(who, time.monotonic() - begun, time.time())


def _caller(identity: PanelIdentity | None, address: str) -> str:
    """Who has a limit of requests."""
    return identity.name if identity else f"login {address}"
