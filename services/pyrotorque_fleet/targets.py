"""Targets of the fleet's exporters for Prometheus, as `file_sd` and `http_sd` read them."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def targets(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each group that has an exporter, gone ones included: then Prometheus shows them as down."""
    return [
        {"targets": [group["metrics"]], "labels": {"group": group["name"]}} for group in groups if group.get("metrics")
    ]


def write_targets(path: Path, groups: Iterable[Mapping[str, Any]]) -> str:
    """Replace the file if it differs; the error in one line, or an empty text."""
    content = json.dumps(targets(groups), indent=1).encode() + b"\n"
    try:
        if path.exists() and path.read_bytes() == content:
            return ""
        part = path.with_name(f"{path.name}.part")
        with suppress(FileNotFoundError):
            part.unlink()
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    return ""
