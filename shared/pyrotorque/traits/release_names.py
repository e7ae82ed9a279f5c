"""Parses release names: show, season and episode, or movie and year, and technical tags."""

import re
from dataclasses import dataclass, field, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Traits:
    """The parts of a release name, None if missing; `kind` is `tv` or `movie`, `pattern` the rule that matched."""

    kind: str | None = None
    show: str | None = None
    season: str | None = None
    episode: str | None = None
    date: str | None = None
    part: str | None = None
    title: str | None = None
    year: str | None = None
    release: str | None = None
    release_tags: tuple[str, ...] = field(default=())
    aspect: str | None = None
    format: str | None = None
    source: str | None = None
    codec: str | None = None
    sound: str | None = None
    channels: str | None = None
    group: str | None = None
    extension: str | None = None
    pattern: str | None = None


_SEP: Final = r"[ ._-]+"
_PICTURE: Final = (
    r"bd-?rip|br-?rip|dvd-?rip|hd-?rip|web-?rip|hdtv|pdtv|dsr|web-?dl|web|blu-?ray|dvd[59r]?|"
    r"480[ip]|576[ip]|720p|1080[ip]|2160p|xvid|divx|[xh][ .]?26[45]|hevc|avc"
)
_VIDEO: Final = re.compile(rf"(?<![a-z0-9])(?:{_PICTURE})(?![a-z0-9])", re.IGNORECASE)
_TECHNICAL: Final = re.compile(rf"(?<![a-z0-9])(?:{_PICTURE}|mp3|aac|ac3|dts|flac)(?![a-z0-9])", re.IGNORECASE)
_TV_ONLY: Final = re.compile(r"[. _](?:hdtv|pdtv|dsr)[. _]", re.IGNORECASE)
_EXTENSION: Final = re.compile(
    r"\.(?P<extension>avi|mkv|m4v|mp4|mpe?g|m2ts|ts|ogv|wmv|vob|rar|zip|iso)$", re.IGNORECASE
)
_GROUP: Final = re.compile(r"-(?P<group>[A-Za-z0-9]{2,20})(?:\[[^\]]*\])?$")

_TV: Final = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        (
            "season and episode",
            rf"(?P<show>.+?){_SEP}\[?(?:s(?P<season>\d{{1,2}})[ ._-]?e(?P<episode>\d{{1,3}}(?:[ ._-]?e?\d{{2,3}})?)"
            rf"|(?P<season2>\d{{1,2}})x(?P<episode2>\d{{2,3}}))\]?(?:{_SEP}(?P<rest>.*))?",
        ),
        ("daily", rf"(?P<show>.+?){_SEP}(?P<date>(?:19|20)\d\d[ ._-][01]\d[ ._-][0-3]\d)(?:{_SEP}(?P<rest>.*))?"),
        (
            "full season",
            rf"(?P<show>.+?){_SEP}(?:s|season[ ._-]?)(?P<season>\d{{1,2}})(?:{_SEP}(?P<rest>.*))?",
        ),
        (
            "mini-series",
            rf"(?P<show>.+?){_SEP}(?:part|pilot)(?:[ ._-]?(?P<part>\d{{1,2}}|[ivx]{{1,4}}))?(?:{_SEP}(?P<rest>.*))?",
        ),
        ("numeric", r"(?P<show>.+?)[._](?P<season>\d)(?P<episode>\d\d)[._](?P<rest>.*)"),
        ("roman part", rf"(?P<show>.+?){_SEP}(?P<part>i{{2,3}}|iv|vi{{0,3}}|ix){_SEP}(?P<rest>.*)"),
    )
)
_MOVIE: Final = re.compile(
    rf"(?P<title>.+?){_SEP}[\[(]?(?P<year>(?:19|20)\d\d)[\])]?(?:{_SEP}(?P<rest>.*))?", re.IGNORECASE
)
_TAGS: Final = {
    "aspect": r"(?:480|576|720|1080|2160)[ip]",
    "format": r"pal|ntsc|hdr(?:10)?|3d|remux",
    "source": r"(?:bd|br|dvd|hd|web|tv)-?rip|hdtv|pdtv|dsr|web-?dl|blu-?ray|dvd[59r]?|web|cam|telesync|screener",
    "codec": r"xvid|divx|[xh][ .]?26[45]|hevc|avc|av1|mpeg2|vc-?1",
    "sound": r"aac|ac3|e-?ac-?3|dts(?:-?hd)?(?:[ .-]?ma)?|flac|mp3|ddp?|truehd|atmos|opus",
    "channels": r"[257][ .][01]",
    "release": r"proper|repack|internal|limited|extended|unrated|uncut|remastered|rerip|complete|multi|subbed|dubbed",
}
_TAG: Final = {
    name: re.compile(rf"(?<![A-Za-z0-9])(?P<tag>{pattern})(?![A-Za-z0-9])", re.IGNORECASE)
    for name, pattern in _TAGS.items()
}
# Sound and channels are often written together: `DD5.1`, `AAC2.0`.
_SOUND_AND_CHANNELS: Final = re.compile(r"(?<![A-Za-z0-9])(aac|ac3|dts|ddp?|flac)(?=[257][ .][01])", re.IGNORECASE)
_NAME_MAX: Final = 300


def name_traits(name: str) -> Traits:
    """The traits in `name`; an empty `Traits` if it matches no rule."""
    if name.upper().startswith("VTS_") or len(name) > _NAME_MAX:
        return Traits()
    found = _EXTENSION.search(name)
    stem = name[: found.start()] if found else name
    extension = found["extension"].lower() if found else None
    return _tv(stem, extension) or _movie(stem, extension) or Traits(extension=extension)


def _tv(stem: str, extension: str | None) -> Traits | None:
    for pattern, rule in _TV:
        found = rule.fullmatch(stem)
        if not found or not _is_title(found["show"]):
            continue
        if pattern in ("numeric", "roman part", "mini-series") and not _VIDEO.search(found["rest"] or ""):
            continue
        groups = found.groupdict()
        traits = Traits(
            kind="tv",
            show=_spaced(found["show"]),
            season=groups.get("season") or groups.get("season2"),
            episode=groups.get("episode") or groups.get("episode2"),
            date=groups.get("date"),
            part=groups.get("part"),
            extension=extension,
            pattern=pattern,
        )
        return _tagged(traits, found["rest"] or "")
    return None


def _movie(stem: str, extension: str | None) -> Traits | None:
    if _TV_ONLY.search(stem):
        return None
    found = _MOVIE.fullmatch(stem)
    if not found or not _is_title(found["title"]) or not _VIDEO.search(found["rest"] or ""):
        return None
    traits = Traits(
        kind="movie",
        title=_spaced(found["title"]),
        year=found["year"],
        extension=extension,
        pattern="movie",
    )
    return _tagged(traits, found["rest"] or "")


def _is_title(text: str) -> bool:
    """Whether the text can be a title: one with a technical word was split at the wrong place."""
    return bool(text.strip(" ._-[]()")) and not _TECHNICAL.search(text)


def _spaced(text: str) -> str:
    return re.sub(r"[ ._]+", " ", text).strip(" -[](")


def _tagged(traits: Traits, rest: str) -> Traits:
    """The traits with the technical words after the title, each in its field and all in `release_tags`."""
    spaced = _SOUND_AND_CHANNELS.sub(r"\1 ", rest)
    found = {name: [(each.start(), each["tag"]) for each in rule.finditer(spaced)] for name, rule in _TAG.items()}
    first = {name: places[0][1] if places else None for name, places in found.items()}
    group = _GROUP.search(rest)
    return replace(
        traits,
        aspect=first["aspect"],
        format=first["format"],
        source=first["source"],
        codec=first["codec"],
        sound=first["sound"],
        channels=first["channels"],
        release=first["release"],
        group=group["group"] if group and not _TECHNICAL.fullmatch(group["group"]) else None,
        release_tags=tuple(tag for _, tag in sorted(place for places in found.values() for place in places)),
    )
