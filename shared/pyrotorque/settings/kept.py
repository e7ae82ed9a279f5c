"""Settings as JSON and back, so that a good configuration can be kept in `state/`."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from pyrotorque.settings.schema import (
    AnyJob,
    CustomSettings,
    ExporterSettings,
    QueueSettings,
    Settings,
    StatsSettings,
    WatchSettings,
)

_KINDS: Final[dict[str, type[AnyJob]]] = {
    "queue": QueueSettings,
    "watch": WatchSettings,
    "stats": StatsSettings,
    "exporter": ExporterSettings,
    "custom": CustomSettings,
}
_NAMES: Final[dict[type[AnyJob], str]] = {kind: name for name, kind in _KINDS.items()}


def to_json(settings: Settings) -> bytes:
    """Pure ASCII: paths may hold bytes that are not UTF-8, which msgspec's own encoder refuses."""
    plain = {key: _plain(value) for key, value in msgspec.structs.asdict(settings).items() if key != "jobs"}
    jobs = [{"kind": _NAMES[type(job)], "job": _plain(job)} for job in settings.jobs]
    return json.dumps(plain | {"jobs": jobs}, sort_keys=True).encode("ascii")


def from_json(content: bytes) -> Settings:
    """The settings that `to_json` wrote; raises ValueError for anything else."""
    try:
        plain = json.loads(content)
        jobs = tuple(_job(kept["kind"], kept["job"]) for kept in plain.pop("jobs"))
        settings = msgspec.convert(plain | {"jobs": ()}, Settings)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ValueError(f"not a kept configuration: {error}") from error
    return msgspec.structs.replace(settings, jobs=jobs)


def _job(kind: str, plain: Any) -> AnyJob:
    return msgspec.convert(plain, _KINDS[kind], dec_hook=_path)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)


def _path(wanted: Any, value: Any) -> Any:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"{wanted} cannot be read from {value!r}")
