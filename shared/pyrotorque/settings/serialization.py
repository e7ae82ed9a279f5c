"""Settings as JSON and back, so that a good configuration can be kept in `state/`."""

import json
from pathlib import Path
from typing import Any

import msgspec

from pyrotorque.settings.schema import Settings


def to_json(settings: Settings) -> bytes:
    """Pure ASCII: paths may hold bytes that are not UTF-8, which msgspec's own encoder refuses."""
    return json.dumps(msgspec.to_builtins(settings, enc_hook=str), sort_keys=True).encode("ascii")


def from_json(content: bytes) -> Settings:
    """The settings that `to_json` wrote; raises ValueError for anything else."""
    try:
        return msgspec.convert(json.loads(content), Settings, dec_hook=_path)
    except ValueError as error:
        raise ValueError(f"not a kept configuration: {error}") from error


def _path(wanted: Any, value: Any) -> Any:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"{wanted} cannot be read from {value!r}")
