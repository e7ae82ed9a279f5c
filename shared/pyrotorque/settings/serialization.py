"""Settings as JSON, for the last valid configuration in `state/`."""

import json
from pathlib import Path
from typing import Any

import msgspec

from pyrotorque.settings.schema import Settings


def to_json(settings: Settings) -> bytes:
    """In ASCII: paths may contain bytes that are not UTF-8, which msgspec's encoder refuses."""
    return json.dumps(msgspec.to_builtins(settings, enc_hook=str), sort_keys=True).encode("ascii")


def hashed_json(settings: Settings) -> bytes:
    """What identifies the settings, wherever they are from: the same as in versions that did not record the files."""
    content = msgspec.to_builtins(settings, enc_hook=str)
    del content["files"]
    return json.dumps(content, sort_keys=True).encode("ascii")


def from_json(content: bytes) -> Settings:
    """The settings written by `to_json`; raises ValueError for other content."""
    try:
        return msgspec.convert(json.loads(content), Settings, dec_hook=_path)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a stored configuration: {error}") from error


def _path(wanted: Any, value: Any) -> Any:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"{wanted} cannot be read from {value!r}")
