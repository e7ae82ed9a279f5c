"""Renders the templates of pages; everything that is inserted is escaped."""

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from pyrotorque import humanize
from pyrotorque_panel import page_texts

_FOLDER: Final = Path(__file__).parent


class Templates:
    """The templates of the package, compiled when first used."""

    def __init__(self, **common: Any) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        filters: dict[str, Any] = {
            "age": page_texts.age,
            "date_time": humanize.date_time,
            "iso": page_texts.iso,
            "lasting": page_texts.lasting,
            "coming": page_texts.coming,
            "rate": page_texts.rate,
            "size": page_texts.size,
            "duration": humanize.duration,
            "known": page_texts.known,
            "job_state": page_texts.job_state,
            "job_runs": page_texts.job_runs,
            "failed_first": page_texts.failed_first,
            "hold": page_texts.hold_sentence,
            "values": page_texts.clause_values,
            "progress": page_texts.progress,
            "well": page_texts.what_is_well,
            "event_icon": page_texts.event_icon,
            "event_tone": page_texts.event_tone,
        }
        self._environment.filters.update(filters)
        names: dict[str, Any] = self._environment.globals
        names |= common | {"key": page_texts.key}

    def render(self, name: str, **values: Any) -> bytes:
        return self._environment.get_template(name).render(values).encode("utf-8", "backslashreplace")


def static_files() -> dict[str, tuple[bytes, str]]:
    """Content and type of each file of style, script and pictures."""
    types = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
    return {path.name: (path.read_bytes(), types[path.suffix]) for path in sorted((_FOLDER / "static").iterdir())}
