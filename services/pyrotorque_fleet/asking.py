"""Requests between groups: one question to all, and answers that are limited in number and size."""

import asyncio
from contextlib import suppress
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

ANSWERS_MAX: Final = 1000
_ANSWER_BYTES: Final = 65_536


async def ask_groups(client: Client, subject: str, payload: bytes, timeout: float, expected: int) -> list[bytes]:
    """The answers that arrive within `timeout` seconds, or the first `expected`; raises what NATS raises."""
    answers: list[bytes] = []
    complete = asyncio.Event()

    async def collect(message: Msg) -> None:
        if len(answers) < ANSWERS_MAX and len(message.data) <= _ANSWER_BYTES:
            answers.append(message.data)
        if len(answers) >= expected:
            complete.set()

    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=collect)
    await client.publish(subject, payload, reply=inbox)
    with suppress(TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(complete.wait(), timeout)
    await subscription.unsubscribe()
    return answers


async def send_answer(client: Client, subject: str, body: bytes) -> None:
    """Answer a question; its sender may have given up."""
    with suppress(nats.errors.Error, OSError):
        await client.publish(subject, body)
