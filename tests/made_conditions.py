"""Conditions, items and rTorrent's filters made by hypothesis: texts over the whole grammar, and states of items."""

import string
from typing import Any

from hypothesis import strategies as st

NOW = 1_780_000_000.0
TEXTS = ("name", "message", "custom_x", "tracker", "directory", "metafile", "throttle")
TAGS = ("tagged", "views", "kind", "kind_25", "traits")
BOOLS = ("is_open", "is_active", "is_complete", "is_ignored", "is_private", "is_multi_file")
NUMBERS = ("prio", "done", "ratio", "fno")
SIZES = ("size", "down", "up", "xfer", "uploaded")
NEVERS = ("loaded", "started", "completed")
TIMES = ("last_xfer", "active")
DURATIONS = ("leechtime", "seedtime")

_ODD = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=6)


def _escaped(text: str) -> str:
    return "".join(char if char.isalnum() else f"\\{char}" for char in text)


def _quoted(text: str) -> str:
    kept = text.translate(dict.fromkeys(map(ord, '\\"/!={}')))
    return f'"{kept}"'


_GLOBS = st.one_of(
    st.sampled_from(("", "*", "foo", "*foo*", "ba?", "[a-c]*", '"/data/*"', "ghost*", "0", "b", "c/", '"/x"')),
    st.sampled_from(("[*]", "'[]]'", "a[b]", '"a]"', r"\[b", '"/]"', r"\/\]", r"\{\{", '"[x"')),
    # Behind a number and a comma, digits would look like its fraction, which is refused.
    _ODD.filter(lambda text: not text[:1].isdigit()).map(_escaped),
    _ODD.map(_quoted),
)
_REGEXES = st.sampled_from(
    (
        "//",
        "/^$|ghost/",
        "/foo/",
        r"/\d+/",
        "/a,b/",
        r"'/^\S+ \S+$/'",
        r"/a\/b,c/",
        "/(foo|bar)+/",
        "'/it\"s/'",
        "/a/b/",
        "'/,]/'",
        "/]/",
        "/x[,]y/",
        "/[]]/",
    )
)
_TAG = st.sampled_from(("", "audio", "flac", "jpg", "=jpg", "=", "new", r"\=x", "Main"))
_FLAG = st.sampled_from(("yes", "no", "1", "0", "+", "-", "true", "F"))
_NUMBER = st.sampled_from(("0", "1", "2", "3", "0.5", "1.5", "100", "33.3", "7", "0.00001", "999999999999999"))
_SIZE = st.one_of(_NUMBER, st.sampled_from(("1k", "1.5m", "2g", "1t", "65536", "65535.5", "100001", "1.1k", "8191t")))
# In quotes: a span or a day without `<` or `>` is refused otherwise.
_SPAN = st.sampled_from(("0", "0s", '"2i"', '"1d"', '"1w2d"', '"1y6m"', '"1h30i"', "3600", '"2m"', '"999999999i"'))
_TIME = st.one_of(
    _SPAN,
    st.sampled_from(('"2024-12-31"', '"31.12.2024"', "12/31/2024T18:30", "1700000000", '"2100-01-01"', '"1960-01-01"')),
)
_SIGN = st.sampled_from(("", "+", "-"))


def _joined(values: list[tuple[bool, str]]) -> str:
    return ",".join(f"!{value}" if bang else value for bang, value in values)


def _listed(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(st.booleans(), value), min_size=1, max_size=3).map(_joined)


def _ordered(names: tuple[str, ...], value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signed = st.tuples(_SIGN, value).map("".join)
    compared = st.tuples(st.sampled_from(("<", ">", "<=", ">=", "!=", "<>")), value).map("".join)
    several = _listed(signed).map(lambda text: f"={text}")
    return st.tuples(st.sampled_from(names), st.one_of(compared, several)).map("".join)


def _equal(names: tuple[str, ...], value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(names), st.just("="), _listed(value)).map("".join)


def _loose(name: str) -> st.SearchStrategy[str]:
    """A value without a kind, compared as a number, a size or a time; more values behind it are patterns."""
    compared = st.tuples(st.sampled_from(("<", ">", "<=", ">=")), st.one_of(_SIZE, _TIME)).map("".join)
    others = st.lists(st.one_of(_GLOBS, _REGEXES), max_size=2).map(
        lambda values: "".join(f",{each}" for each in values)
    )
    return st.tuples(st.just(name), compared, others).map("".join)


def _side_by_side(terms: tuple[str, str]) -> str:
    """Both must match. A pattern without a field, right behind an empty value or a comma, is refused as a slip."""
    first, second = terms
    return f"[ {first} ] {second}" if first.endswith(("=", ",")) else f"{first} {second}"


TERMS = st.one_of(
    _equal(tuple(name for name in TEXTS if name != "tracker"), st.one_of(_GLOBS, _REGEXES)),
    _equal(("tracker",), st.sampled_from(("", "*foo*", "http://x/", "[a-c]*", "/foo/"))),
    st.tuples(st.sampled_from(("message", "name")), st.just("~"), st.sampled_from(("foo", "a b", r"\.x"))).map(
        lambda parts: "".join(parts).replace(" ", "\\ ")
    ),
    st.sampled_from(("foo", "*bar*", "/x/", '"foo bar"')),
    _loose("custom_x"),
    _equal(TAGS, _TAG),
    _equal(BOOLS, _FLAG),
    _equal(("files",), st.sampled_from(("*.mkv", "", "sub/*", "/nfo/"))),
    _ordered(NUMBERS, _NUMBER),
    _ordered(SIZES, _SIZE),
    _ordered(NEVERS, _TIME),
    _ordered(TIMES, _TIME),
    _ordered(DURATIONS, _SPAN),
)
TEXT = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: " ".join(f"[ {part} ]" for part in parts)),
        st.lists(inner, min_size=2, max_size=3).map(" OR ".join).map(lambda text: f"[ {text} ]"),
        inner.map(lambda text: f"[ NOT {text} ]"),
        st.tuples(inner, inner).map(_side_by_side),
    ),
    max_leaves=6,
)
NOISE = st.one_of(
    st.text(max_size=40),
    st.text(string.ascii_letters + string.digits + " []!=<>~,/\\\"'*?+-.{}()|", max_size=60),
    st.tuples(
        st.sampled_from(("", "name", "custom_x", "files", "tagged", "is_open", "prio", "size", "loaded", "seedtime")),
        st.sampled_from(("", "=", "==", "!=", "<>", "<", ">", "<=", ">=", "~")),
        st.text("ab1*?[]!^-+=/\\\"',{}<>~()|. \t\n\x1c\x85\xa0\u2028\x00\ud800", max_size=12),
    ).map("".join),
    st.lists(
        st.sampled_from(("NOT", "OR", "[", "]", "prio>0", "or", "name=", "f=,", "/(", "kind_101=a", "'", "\\", "\n")),
        max_size=12,
    ).map(" ".join),
)

_LINE = st.one_of(st.sampled_from(("", "foo", "Foo Bar", "ghost", "a,b", "0", "x\ny", "/data/x", "12 b")), _ODD)
_SET = st.frozensets(st.sampled_from(("audio", "flac", "jpg", "new", "main", "=x", "Main")), max_size=3)
_WHEN = st.sampled_from((0, int(NOW) - 30, int(NOW) - 90_000, int(NOW) - 10**8, 1_700_000_000))


def items() -> st.SearchStrategy[dict[str, Any]]:
    """A mapping of every field that TEXT uses."""
    spans = st.one_of(st.none(), st.sampled_from((0.0, 100.0, 3_600.0, 7e5)))
    kinds: list[tuple[tuple[str, ...], st.SearchStrategy[Any]]] = [
        (TEXTS, _LINE),
        (TAGS, _SET),
        (BOOLS, st.booleans()),
        (("prio",), st.integers(0, 3)),
        (("done",), st.sampled_from((0.0, 0.5, 33.3, 100.0))),
        (("ratio",), st.sampled_from((0.0, 0.5, 1.0, 1.5))),
        (("fno",), st.integers(1, 8)),
        (SIZES, st.sampled_from((0, 1, 3, 1024, 65_536, 10**10))),
        (NEVERS + TIMES, _WHEN),
        (DURATIONS, spans),
        (("files",), st.lists(st.sampled_from(("a.mkv", "sub/b.nfo", "c.jpg")), max_size=3)),
    ]
    return st.fixed_dictionaries({name: values for names, values in kinds for name in names})
