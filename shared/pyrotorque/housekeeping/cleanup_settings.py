"""The settings of a clean-up job, typed; wrong ones, and combinations that cannot work, are errors of `check`."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args

from pyrotorque.errors import UserError
from pyrotorque.housekeeping.limits import RemovalLimits
from pyrotorque.housekeeping.other_clients import OtherClients, parse_others
from pyrotorque.housekeeping.plan import Caps, DataChoice, SharedChoice
from pyrotorque.jobs.params import get_bool, get_text
from pyrotorque.settings.values import duration, folders, size
from pyrotorque.suggestions import suggestion
from pyrotorque.text import printable

T = TypeVar("T")

COMMON: Final = frozenset(
    ("job_name", "handler", "schedule", "active", "dry_run", "quiet", "log_level", "on", "timeout", "memory_max")
)
_RULE: Final = re.compile(r"rule\.([1-9]\d{0,5})\.(\w+)", re.ASCII)
_LIMITS: Final = ("min_ratio", "min_seedtime", "min_seeds", "min_idle", "satisfied", "never")
_NAMES: Final = (
    *("condition", "matcher", "protect", "sort", "sort_fields", "view", "data", "below", "quarantine", "keep_for"),
    *("matched_for", "shared", "linked", "others", "max_items", "max_bytes", "max_percent", "per_tracker", "announce"),
    *("min_free", "until_free", "max_used", "tracker_alive", "phrases", "erased_handler", *_LIMITS),
)
_PROTECT: Final = "is_ignored=yes OR tagged=keep"
_NO_FOLDERS: Final[tuple[Path, ...]] = ()
_PHRASE_MIN: Final = 5
_RATIO_MAX: Final = 1_000_000.0


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """`rule.N`: the minima of the items that match its condition."""

    number: int
    condition: str
    limits: RemovalLimits


@dataclass(frozen=True)
class CleanupSettings:
    """All settings; sizes in bytes, durations in seconds."""

    condition: str
    protect: str
    sort: str
    view: str
    data: DataChoice
    below: tuple[Path, ...]
    quarantine: Path | None
    keep_for: float
    matched_for: float
    shared: SharedChoice
    linked: str
    others: OtherClients | None
    caps: Caps
    announce: float
    min_free: int
    until_free: int
    max_used: int
    tracker_alive: bool
    phrases: tuple[str, ...]
    """Further texts of trackers that a torrent is gone."""
    accepts_erased_handler: bool
    limits: RemovalLimits
    rules: tuple[RuleSettings, ...]

    @property
    def disposal(self) -> str:
        """What is done with the files of an item, as far as settings decide it."""
        return f"{self.data} {self.quarantine or ''} {self.keep_for:.0f}" if self.data != "keep" else self.data


def read_cleanup(config: Mapping[str, Any]) -> CleanupSettings:
    """The settings of a job. Raises UserError with the setting and what to do."""
    name = str(config.get("job_name", "NAME"))
    read = _SettingReader(config, name)
    read.check_names()
    base = read.limits("", RemovalLimits())
    settings = CleanupSettings(
        condition=get_text(config, "condition", "matcher"),
        protect=get_text(config, "protect") or _PROTECT,
        sort=get_text(config, "sort", "sort_fields") or "completed",
        view=get_text(config, "view") or "main",
        data=cast(DataChoice, read.choice("data", "keep", get_args(DataChoice))),
        below=read.value("below", _NO_FOLDERS, folders, "absolute paths, separated by `:`"),
        quarantine=read.folder("quarantine"),
        keep_for=read.duration("keep_for", 14 * 86_400.0),
        matched_for=read.duration("matched_for", 3600.0),
        shared=cast(SharedChoice, read.choice("shared", "skip", get_args(SharedChoice))),
        linked=read.choice("linked", "skip", ("skip", "ignore")),
        others=parse_others(name, get_text(config, "others")),
        caps=Caps(
            read.count("max_items", 10),
            read.value("max_bytes", 500 << 30, size, "a size such as 500g"),
            read.count("per_tracker", 5),
            read.number("max_percent", 5.0, 100.0),
        ),
        announce=read.duration("announce", 30.0),
        min_free=(least := read.value("min_free", 0, size, "a size such as 200g")),
        until_free=read.value("until_free", least + least // 10, size, "a size such as 220g"),
        max_used=read.value("max_used", 0, size, "a size such as 2t"),
        tracker_alive=get_bool(config, "tracker_alive"),
        phrases=tuple(filter(None, (part.strip() for part in get_text(config, "phrases").split(",")))),
        accepts_erased_handler=read.choice("erased_handler", "refuse", ("refuse", "accept")) == "accept",
        limits=base,
        rules=tuple(read.rules(base)),
    )
    _check(name, settings)
    return settings


@dataclass(frozen=True)
class _SettingReader:
    config: Mapping[str, Any]
    job: str

    def error(self, key: str, text: str) -> UserError:
        return UserError(f"job.{self.job}.{key} {text}")

    def check_names(self) -> None:
        """A mistyped minimum must not be ignored."""
        for key in self.config:
            found = _RULE.fullmatch(key)
            if key in COMMON or key in _NAMES or (found and found[2] in ("condition", *_LIMITS)):
                continue
            known = (*_NAMES, *(f"rule.{found[1]}.{limit}" for limit in ("condition", *_LIMITS))) if found else _NAMES
            raise self.error(printable(key), f"is no setting of a clean-up job{suggestion(key, known)}")

    def value(self, key: str, default: T, parse: Callable[[str], T], expected: str) -> T:
        text = get_text(self.config, key)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError:
            raise self.error(key, f"is {printable(text)!r}: expected {expected}") from None

    def duration(self, key: str, default: float) -> float:
        return self.value(key, default, duration, "a duration such as 30s, 1h or 14d")

    def number(self, key: str, default: float, most: float) -> float:
        found = self.value(key, default, float, "a number")
        if not 0 <= found <= most:
            raise self.error(key, f"is {found:g}: expected a number from 0 to {most:g}")
        return found

    def count(self, key: str, default: int) -> int:
        return self.value(key, default, _count, "a whole number")

    def choice(self, key: str, default: str, known: tuple[str, ...]) -> str:
        found = get_text(self.config, key) or default
        if found not in known:
            raise self.error(key, f"is {printable(found)!r}: expected one of {', '.join(known)}")
        return found

    def folder(self, key: str) -> Path | None:
        found = self.value(key, _NO_FOLDERS, folders, "an absolute path")
        if len(found) > 1:
            raise self.error(key, "is one folder")
        return found[0] if found else None

    def limits(self, prefix: str, default: RemovalLimits) -> RemovalLimits:
        """The minima with this prefix; those that are not set are the default's."""
        satisfied = self.choice(f"{prefix}satisfied", default.satisfied, ("all", "any"))
        return RemovalLimits(
            min_ratio=self.number(f"{prefix}min_ratio", default.min_ratio, _RATIO_MAX),
            min_seedtime=self.duration(f"{prefix}min_seedtime", default.min_seedtime),
            min_seeds=self.count(f"{prefix}min_seeds", default.min_seeds),
            min_idle=self.duration(f"{prefix}min_idle", default.min_idle),
            satisfied="any" if satisfied == "any" else "all",
            never=get_bool(self.config, f"{prefix}never", default.never),
            rule=prefix.split(".")[1] if prefix else "",
        )

    def rules(self, base: RemovalLimits) -> list[RuleSettings]:
        """The rules in the order of their numbers: the first one that matches an item counts."""
        numbers = sorted({int(found[1]) for key in self.config if (found := _RULE.fullmatch(key))})
        made: list[RuleSettings] = []
        for number in numbers:
            key = next(key for key in self.config if (found := _RULE.fullmatch(key)) and int(found[1]) == number)
            prefix = key[: key.rindex(".") + 1]
            condition = get_text(self.config, f"{prefix}condition")
            if not condition:
                raise self.error(f"{prefix}condition", "is not set: it chooses the items of this rule")
            made.append(RuleSettings(number, condition, self.limits(prefix, base)))
        return made


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)


def _check(job: str, settings: CleanupSettings) -> None:
    def error(key: str, text: str) -> UserError:
        return UserError(f"job.{job}.{key} {text}")

    for phrase in settings.phrases:
        if len(phrase) < _PHRASE_MIN:
            raise error("phrases", f"has {printable(phrase)!r}, which is too short to be unambiguous")
    if not settings.condition:
        raise error("condition", "is not set: it must choose the items, for example is_complete=yes")
    for key in ("min_free", "max_used"):
        if getattr(settings, key) and settings.data != "delete":
            raise error(key, f"cannot be reached: data = {settings.data} frees nothing; set data = delete")
    if settings.min_free and settings.until_free < settings.min_free:
        raise error("until_free", "is less than min_free")
    if settings.data == "keep":
        for key in ("quarantine", "below"):
            if getattr(settings, key):
                raise error(key, "has no effect with data = keep: set data = quarantine, or remove it")
        return
    if not settings.below:
        raise error(
            "below", f"is not set: data = {settings.data} needs the folders outside of which no file is touched"
        )
    if settings.others is None:
        raise error(
            "others",
            "is not set: name the sessions or data folders of all other clients that use these disks, or `none`",
        )
    if refusal := refuse_broad(settings.below):
        raise error("below", refusal)


def refuse_broad(below: tuple[Path, ...]) -> str:
    """Why a folder of `below` has other data than that of torrents; empty if none is known to have."""
    home = os.path.realpath(os.path.expanduser("~"))
    for folder in below:
        if os.path.realpath(folder) in ("/", home, "/home", "/root", "/usr", "/etc", "/var"):
            return f"is {folder}: name the folder of the downloads, not one with other data"
    return ""


def private_below(below: tuple[Path, ...], private: tuple[Path, ...]) -> str:
    """Why a folder of `below` cannot be used: it contains a folder of pyrotorque or rTorrent; empty if it can."""
    for folder in below:
        real = os.path.realpath(folder)
        for each in private:
            inner = os.path.realpath(each)
            if os.path.exists(inner) and (inner == real or inner.startswith(real.rstrip("/") + "/")):
                return f"{folder} contains {each}, whose files are no data of torrents"
    return ""
