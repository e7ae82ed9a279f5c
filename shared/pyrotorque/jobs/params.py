"""The configuration that a job's constructor gets, and typed readers for its settings.

A user's class gets digits as int and truth words as bool. These readers start from the text in the file, so that
`007` and `on` stay text where text is expected.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pyrotorque.errors import UserError
from pyrotorque.settings.values import coerced
from pyrotorque.text import printable


class MissingSetting(UserError, KeyError, AttributeError):
    """A setting that the job reads is not set; `config.get(name, default)` does not raise."""

    def __str__(self) -> str:
        return str(self.args[0])


class JobConfig(dict[str, Any]):
    """`config["path"]`, `config.path`, `config.get("path", default)`; also job_name, dry_run, active and schedule."""

    # The text in the file where it differs from the value. Private, as are all names here: attributes are settings.
    _texts: Mapping[str, str] = MappingProxyType({})

    def __missing__(self, key: str) -> Any:
        name = printable(str(self.get("job_name", "NAME")))
        raise MissingSetting(f"job.{name}.{printable(key)} is not set, and the job needs it")

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return self[key]


def get_text(config: Mapping[str, Any], *names: str) -> str:
    """The first of these settings that is set, as text; empty if none is."""
    for name in names:
        value = config.get(name)
        if value is not None and value != "":
            return text_of(config, name).strip()
    return ""


def with_texts(values: Mapping[str, Any], texts: Mapping[str, str]) -> JobConfig:
    """The constructor's argument; `texts` has the text in the file where it differs from the value."""
    config = JobConfig(values)
    config._texts = texts  # pyright: ignore[reportPrivateUsage]
    return config


def with_settings(config: Mapping[str, Any], **values: Any) -> JobConfig:
    """A copy with these settings replaced."""
    texts = config._texts if isinstance(config, JobConfig) else {}  # pyright: ignore[reportPrivateUsage]
    return with_texts({**config, **values}, texts)


def text_of(config: Mapping[str, Any], name: str) -> str:
    """A setting as it is in the file, unless the job has replaced it since."""
    value = config[name]
    texts = config._texts if isinstance(config, JobConfig) else {}  # pyright: ignore[reportPrivateUsage]
    text = texts.get(name)
    if text is None or type(value) is not type(coerced(text)) or value != coerced(text):
        return str(value)
    return text


def texts_below(config: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """The text of each setting `prefixNAME`, by NAME."""
    return {key[len(prefix) :]: text_of(config, key) for key in config if key.startswith(prefix)}


def require_text(config: Mapping[str, Any], *names: str) -> str:
    if found := get_text(config, *names):
        return found
    raise UserError(f"job.{config.get('job_name', 'NAME')}.{names[0]} is not set, and the job needs it")


def get_count(config: Mapping[str, Any], name: str, default: int = 0) -> int:
    """A whole number, 0 or more."""
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"job.{config.get('job_name', 'NAME')}.{name}: expected a whole number, got {value!r}")
    return value


def get_seconds(config: Mapping[str, Any], name: str, default: float) -> float:
    """A number of seconds above 0."""
    value = config.get(name, default)
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = -1.0
    if isinstance(value, bool) or not 0 < found < float("inf"):
        raise UserError(f"job.{config.get('job_name', 'NAME')}.{name}: expected a number of seconds, got {value!r}")
    return found


def get_bool(config: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A truth word; the configuration gives `1` and `0` as numbers."""
    value = config.get(name, default)
    if value not in (True, False):
        raise UserError(f"job.{config.get('job_name', 'NAME')}.{name}: expected True or False, got {value!r}")
    return bool(value)
