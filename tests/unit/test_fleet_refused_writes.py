"""What the servers of a fleet refuse to store: reported when it lasts, once for each kind, and when it has ended."""

import pytest

from pyrotorque import logs
from pyrotorque_fleet.refused_writes import RefusedWrites


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def report(event: str, text: str, *, subject: str) -> None:
        found.append((f"{event} {subject}", text))

    monkeypatch.setattr(logs, "owner_event", report)
    return found


def refuse(writes: RefusedWrites, kind: str, begin: float, end: float) -> None:
    for at in range(int(begin), int(end) + 1):
        writes.refused(kind, "maximum bytes exceeded", float(at))
        writes.report(float(at))


def test_what_lasts_is_reported_once_until_it_ends(reported: list[tuple[str, str]]) -> None:
    writes = RefusedWrites()
    refuse(writes, "claims", 100, 109)
    assert reported == []
    refuse(writes, "claims", 110, 150)
    assert [event for event, _ in reported] == ["fleet refused claims"]
    assert "maximum bytes exceeded; metafiles wait in their trees" in reported[0][1]
    assert list(writes.lasting(150.0)) == ["claims"]
    writes.report(175.0)
    assert len(reported) == 1, "a retry may be on its way"
    writes.report(181.0)
    assert [event for event, _ in reported] == ["fleet refused claims", "fleet stores claims"]
    assert writes.lasting(181.0) == {}


def test_single_refusals_far_apart_are_not_reported(reported: list[tuple[str, str]]) -> None:
    writes = RefusedWrites()
    for at in (100.0, 140.0, 180.0, 220.0):
        writes.refused("events", "no space", at)
        writes.report(at)
    assert reported == []


def test_each_kind_is_reported_for_itself(reported: list[tuple[str, str]]) -> None:
    writes = RefusedWrites()
    for kind in ("claims", "metafiles", "events", "heartbeats"):
        refuse(writes, kind, 100, 115)
    assert sorted(event for event, _ in reported) == [
        f"fleet refused {kind}" for kind in ("claims", "events", "heartbeats", "metafiles")
    ]


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("maximum bytes exceeded", "make room at the servers"),
        ("the user of this group may not use x (publish)", "give its user the permissions"),
    ],
)
def test_the_advice_fits_the_reason(reported: list[tuple[str, str]], reason: str, advice: str) -> None:
    writes = RefusedWrites()
    for at in range(20):
        writes.refused("claims", reason, float(at))
        writes.report(float(at))
    assert [advice in text for _, text in reported] == [True]
