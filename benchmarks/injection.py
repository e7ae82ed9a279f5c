"""All 2,000 hostile strings through every documented place of a load command, on a real rTorrent."""

import time
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.filled import scratch
from demo.private_rtorrent import PrivateRTorrent
from tests.injection import ATTACKS, INI_VALUES, RECIPES, RUN, hostile, prove, refused_places

STRINGS = 2000 + len(ATTACKS)


def measure() -> Iterator[Figure]:
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        begin = time.monotonic()
        proof = prove(rtorrent, list(hostile(STRINGS)))
        took = time.monotonic() - begin
    yield Figure(
        "commands that were run", str(len(proof.executed)), "8 of 16 attacks (pyrocore)", "0", not proof.executed
    )
    yield Figure(
        "values that arrived byte for byte", str(proof.values), f"{len(proof.wrong)} did not", "all", not proof.wrong
    )
    yield Figure("torrents, templates each, seconds", f"{proof.loaded}, {len(RECIPES) + len(INI_VALUES)}, {took:.0f}")
    places = refused_places()
    yield Figure("places that rTorrent runs: refused at check", str(places), "", str(len(RUN)), places == len(RUN))
    refused = ", ".join(f"{what.strip(':')} {count}" for what, count in sorted(proof.refused.items()))
    yield Figure("refused with a reason (no name of a file; NUL or .. in a path)", refused)


if __name__ == "__main__":
    from benchmarks.figures import show

    show("injection", measure())
