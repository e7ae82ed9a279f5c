"""The messages of a live stream: new events for programs, and for pages which kind of thing has changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from pyrotorque_panel.exchange import PanelResponse
from pyrotorque_panel.recent_events import NOTHING, Event, RecentEvents, Streams

_COMMENT_EVERY: Final = 15.0
_QUEUE_REPLAY: Final = 500


async def stream_messages(
    events: RecentEvents,
    streams: Streams,
    queue: "asyncio.Queue[Event | None]",
    made: PanelResponse,
    is_admitted: Callable[[], bool],
) -> AsyncIterator[bytes]:
    """Server-sent events until the client leaves, is too slow, or is not admitted any more.

    That is looked at before each message, and at once when sessions or tokens change.
    """
    last = made.since
    try:
        yield b"retry: 2000\n: open\n\n"
        for event in events.after(last, _QUEUE_REPLAY, made.types) if made.since else ():
            if not is_admitted():
                return
            last = event["id"]
            yield _message(event, made.stream)
        while True:
            comment = b""
            try:
                event_or_end = await asyncio.wait_for(queue.get(), _COMMENT_EVERY)
            except TimeoutError:
                event_or_end, comment = NOTHING, b": still here\n\n"
            if not is_admitted():
                return
            if event_or_end is None:
                yield b"event: gap\ndata: {}\n\n"
                return
            if event_or_end is NOTHING:
                if comment:
                    yield comment
                continue
            if event_or_end["id"] and event_or_end["id"] <= last:
                continue
            if made.stream == "live" or not made.types or event_or_end["type"] in made.types:
                if made.stream == "events" and not event_or_end["id"]:
                    continue
                yield _message(event_or_end, made.stream)
    finally:
        streams.close(queue)


def _message(event: Event, stream: str) -> bytes:
    """One message: for pages only which kind of thing has changed, for programs the event."""
    data = {"type": event["type"]} if stream == "live" else event
    head = f"id: {event['id']}\n".encode() if event["id"] else b""
    return head + b"event: %b\ndata: %b\n\n" % (
        (b"changed" if stream == "live" else event["type"].encode("ascii", "replace")),
        msgspec.json.encode(data),
    )
