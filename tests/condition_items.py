"""A dozen items, a to l, that differ in every field; times count back from NOW, a Monday at noon in UTC."""

from typing import Any, Final

NOW: Final = 1_767_614_400.0  # 2026-01-05 12:00:00 UTC
MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800
NAMES: Final = "abcdefghijkl"
K, M, G, T = 1 << 10, 1 << 20, 1 << 30, 1 << 40


def _ago(*spans: float) -> list[int]:
    return [int(NOW - span) if span else 0 for span in spans]


_COLUMNS: Final[dict[str, list[Any]]] = {
    "name": [
        "Alpha One",
        "beta.two",
        "GAMMA",
        "delta [x]",
        "eps,ilon",
        "Zeta*",
        "eta.2024.S01E02",
        "theta\nline",
        "Iota!",
        "ünïcode",
        "kappa-1080p.mkv",
        "OR",
    ],
    "hash": [name.upper() * 40 for name in NAMES],
    "message": [
        "",
        "",
        "ghost",
        "Tracker: [Failure]",
        "",
        "Low diskspace.",
        "a/b, c",
        "timed out",
        "x",
        "GHOST town",
        " ",
        "0",
    ],
    "directory": [f"/data/{name}" for name in "aabbccddeeff"],
    "custom_x": ["", "1", "2", "10", "foo", "Foo", "-3", "1.5", "", "700m", "bar", "x y"],
    "tracker": [f"http://t{number}.example.org/announce" for number in range(12)],
    "throttle": ["NONE", "NULL", "slow"] * 4,
    "size": [0, 1, K - 1, K, 3 * K // 2, M, 700 * M, G, 3 * G // 2, T, 5, 999],
    "down": [0, 0, 3, 4, 100 * K, 0, 0, 0, 0, 0, 0, 0],
    "up": [0, 0, 0, 0, 0, 1, 10 * K, 0, 0, 3, 0, 0],
    "uploaded": [0, K, M, G, 0, 0, 2 * G, T, 0, 1, 2, 3],
    "prio": [0, 1, 2, 3] * 3,
    "done": [0.0, 0.5, 33.3, 50.0, 99.9, 1.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0],
    "ratio": [0.0, 0.5, 1.0, 1.5, 2.0, 0.333, 1.0, 2.0, 3.0, 0.1, 0.0, 10.0],
    "fno": list(range(1, 13)),
    "is_open": [name in "abcdef" for name in NAMES],
    "is_active": [name in "abc" for name in NAMES],
    "is_complete": [name in "ghijkl" for name in NAMES],
    "is_ignored": [name == "e" for name in NAMES],
    "is_ghost": [None, True, *[False] * 10],
    "tagged": [
        set[str](),
        {"a"},
        {"a", "b"},
        {"b"},
        {"new"},
        {"New", "a"},
        ["x"],
        set[str](),
        {"y"},
        {"z"},
        {"="},
        {"a,b"},
    ],
    "kind_25": [
        {"mkv"},
        {"flac"},
        {"flac", "jpg"},
        {"jpg"},
        {"png", "tif"},
        set[str](),
        {"mp3"},
        {"iso"},
        {"rar"},
        {"pdf"},
        {"mkv"},
        {"bmp"},
    ],
    "traits": [
        {"video", "mkv"},
        {"audio", "flac"},
        {"audio", "flac"},
        {"img"},
        {"img"},
        set[str](),
        {"audio", "mp3"},
        {"misc", "iso"},
        {"tv", "rar"},
        {"docs"},
        {"movie", "mkv"},
        {"img"},
    ],
    "views": [{"main"}, {"main", "stopped"}, {"main", "started"}, *[{"main"}] * 9],
    "files": [
        ["a.mkv"],
        ["cd/01.flac"],
        ["cd/01.flac", "cover.jpg"],
        ["x.JPG"],
        ["p.png", "q.tif"],
        [],
        ["song.mp3", "song.nfo"],
        ["d.iso"],
        ["s/show.rar", "s/show.r00"],
        ["book.pdf"],
        ["kappa-1080p.mkv"],
        ["x,y.bmp"],
    ],
    "loaded": _ago(0, 30, MINUTE, 2 * MINUTE, HOUR, DAY, 2 * DAY, WEEK, 2 * WEEK, 31 * DAY, 365 * DAY, 400 * DAY),
    "started": _ago(0, 0, 10, 90, 119, 120, 121, HOUR, 0, 0, DAY, WEEK),
    "completed": _ago(0, 0, 0, 0, 0, 0, 1, HOUR, DAY, WEEK, 0, 300 * DAY),
    "active": _ago(0, 1, 0, MINUTE, HOUR, DAY, WEEK, 0, 0, 2 * WEEK, 31 * DAY, 366 * DAY),
    "seedtime": [None, None, 0.0, 59.0, 60.0, HOUR, DAY, WEEK, WEEK + 1, None, 30 * DAY, 400 * DAY],
}

ITEMS: Final[dict[str, dict[str, Any]]] = {
    name: {field: values[index] for field, values in _COLUMNS.items()} for index, name in enumerate(NAMES)
}
