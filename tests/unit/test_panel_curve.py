"""The curve of the last hours: it survives a restart, has gaps where rTorrent did not answer, and stays small."""

from pyrotorque.store import Store, open_in_memory
from pyrotorque_panel.migrations import MIGRATIONS
from pyrotorque_panel.transfer_chart import chart
from pyrotorque_panel.transfer_ring import EVERY, TransferRing, TransferSample

NOW = 1_800_000_000.0


def saved(ring: TransferRing, store: Store, now: float) -> None:
    with store.transaction() as db:
        ring.save(db, now)


def loaded(store: Store, now: float, config_dir: str = "") -> list[TransferSample]:
    ring = TransferRing(24, config_dir=config_dir)
    ring.load(store.db, now)
    return ring.since_time(0.0)


def test_the_curve_continues_after_a_restart() -> None:
    store = open_in_memory(MIGRATIONS, "test")
    ring = TransferRing(24)
    for number in range(3):
        ring.sample(None, NOW + number * EVERY)
        saved(ring, store, NOW + number * EVERY)
    assert [sample.at for sample in loaded(store, NOW + 60)] == [NOW, NOW + EVERY, NOW + 2 * EVERY]
    assert loaded(store, NOW + 60, "/another/group") == []
    assert loaded(store, NOW + 2 * 86_400) == [], "older than a day"
    assert loaded(store, NOW - 60) == [], "the clock was set back"


def test_a_damaged_part_of_the_curve_is_left_out() -> None:
    store = open_in_memory(MIGRATIONS, "test")
    ring = TransferRing(24)
    ring.sample(None, NOW)
    saved(ring, store, NOW)
    store.db.execute("INSERT INTO transfer (config_dir, at, body) VALUES ('', ?, ?)", (NOW + 1, b"[{"))
    assert [sample.at for sample in loaded(store, NOW + 60)] == [NOW]


def test_old_parts_are_removed() -> None:
    store = open_in_memory(MIGRATIONS, "test")
    ring = TransferRing(24)
    for day in range(3):
        ring.sample(None, NOW + day * 90_000)
        saved(ring, store, NOW + day * 90_000)
    assert store.db.execute("SELECT count(*) FROM transfer").fetchone() == (1,)


def test_what_rtorrent_did_not_answer_is_a_gap() -> None:
    down = [100, 100, None, None, 100, 100]
    samples = [TransferSample(at=NOW + 60 * n, down=value, up=0) for n, value in enumerate(down)]
    made = chart(samples, NOW, NOW + 3 * 3600)
    assert made is not None
    assert made["down"].count("M") == 2
    assert made["up"].count("M") == 1
    assert "last 3 hours" in made["label"]


def test_a_panel_that_was_away_leaves_a_gap() -> None:
    samples = [TransferSample(at=NOW + at, down=5, up=5) for at in (0, 60, 120, 3600, 3660)]
    made = chart(samples, NOW, NOW + 3 * 3600)
    assert made is not None
    assert made["down"].count("M") == 2


def test_a_full_day_makes_a_small_picture() -> None:
    samples = [TransferSample(at=NOW + EVERY * n, down=n * 1000, up=n) for n in range(8640)]
    made = chart(samples[-1080:], NOW + EVERY * 7560, NOW + EVERY * 8640)
    assert made is not None
    assert len(made["down"]) + len(made["up"]) < 6000


def test_without_values_there_is_no_curve() -> None:
    assert chart([], NOW, NOW + 60) is None
    assert chart([TransferSample(at=NOW), TransferSample(at=NOW + 10)], NOW, NOW + 60) is None
