"""Load commands against the real rTorrent: values arrive byte for byte, none is run, both parsers agree."""

import os
import random
from collections.abc import Iterator
from functools import partial

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import CommandRefused, RTorrentFault
from pyrotorque.loadcommands import compile_command
from pyrotorque.loadcommands.grammar import parse
from pyrotorque.loadcommands.namespace import sample
from pyrotorque.rtorrent import RTorrent
from tests.injection import ATTACKS, CANARY, RUN, hostile, prove, refused_places
from tests.waiting import eventually

# `make test` proves some hundreds; PYROTORQUE_INJECTIONS=2000, or the benchmark `injection`, all that were promised.
STRINGS = int(os.environ.get("PYROTORQUE_INJECTIONS", "250"))


def test_hostile_values_arrive_byte_for_byte_and_nothing_is_run(rtorrent: PrivateRTorrent) -> None:
    proof = prove(rtorrent, list(hostile(STRINGS)))
    assert proof.executed == []
    assert proof.wrong == []
    assert proof.loaded == STRINGS
    assert proof.values > 14 * STRINGS


def test_no_value_is_taken_where_rtorrent_runs_what_it_finds() -> None:
    assert refused_places() == len(RUN)


def test_the_same_attack_without_our_quoting_leaves_its_mark(rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    """Otherwise the proof above would prove nothing."""
    client.call("load.raw", "", make_metafile("naive"), b"d.custom.set=k," + ATTACKS[0])
    eventually((rtorrent.folder / CANARY).exists, 20.0)


def texts(count: int, seed: int) -> Iterator[str]:
    """Arguments as people and accidents write them; nothing in them names a command."""
    dice = random.Random(seed)
    for _ in range(count):
        yield "".join(dice.choice('ab1,";\\{} \t') for _ in range(dice.randint(0, 12)))


def ours(text: str) -> tuple[bytes, bytes | None]:
    """What we send for `text`, and the value that it is to set; where we refuse it, the text itself and None."""
    try:
        sent = compile_command("x", text).render(sample())
    except CommandRefused:
        return text.encode(), None
    argument = parse([text])[0].arguments[1]
    return sent, b"".join(part for part in argument.parts if isinstance(part, bytes)) if argument.plain else None


def test_our_parser_takes_and_refuses_what_rtorrents_own_does(rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    samples = [f"d.custom.set=k,{text}".strip() for text in texts(300, seed=7) if "{{" not in text]
    for index, text in enumerate(samples):
        client.call("load.raw", "", make_metafile(f"parsed {index}"), ours(text)[0])
    disagreements: list[tuple[str, bytes | None, str]] = []
    for index, text in enumerate(samples):
        item, expected = info_hash(make_metafile(f"parsed {index}")), ours(text)[1]
        eventually(partial(known, client, item), 20.0)
        theirs = str(client.call("d.custom", item, "k"))
        refused = "Command on torrent creation failed" in str(client.call("d.message", item))
        # A list is no value for rTorrent either.
        if (expected is None) != refused or (expected is not None and expected.decode() != theirs):
            disagreements.append((text, expected, theirs))
    assert disagreements == []


def known(client: RTorrent, item: str) -> bool:
    try:
        return client.call("d.hash", item) == item
    except RTorrentFault:
        return False


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        pytest.param(b"branch=d.size_files=,", b"execute.throw=touch,pwned", b"", id="branch"),
        pytest.param(b"branch=", b"execute.throw=touch,pwned", b",1,2", id="condition of branch"),
        pytest.param(b"f.multicall=*,", b"execute.throw=touch,pwned", b"", id="f.multicall"),
        pytest.param(b"d.custom1.set=", b"$execute.throw=touch,pwned", b"", id="argument that begins with a dollar"),
    ],
)
def test_quoting_alone_is_not_enough_where_we_refuse(
    rtorrent: PrivateRTorrent, client: RTorrent, before: bytes, value: bytes, after: bytes
) -> None:
    command = before + b'"' + value + b'"' + after
    client.call("load.raw", "", make_metafile("reparsed"), command)
    eventually((rtorrent.folder / CANARY).exists, 20.0)
