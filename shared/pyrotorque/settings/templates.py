"""Replaces `file:NAME` by the text of the file where a setting is a template, so that it is reviewed and stored."""

from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import TemplateError
from pyrotorque.settings.handlers import TEMPLATES
from pyrotorque.settings.schema import AnyJob, CustomSettings, Settings, WatchSettings
from pyrotorque.template_files import FILE, read_template

_COMMAND: Final = "cmd."


def with_templates(settings: Settings, folder: Path) -> Settings:
    """The settings with the text of each template file; `folder` is `CONFIG_DIR/templates`.

    What cannot be read, or has no text, stays: `pyrotorque.validation` and `pyrotorque.lost_settings` report it.
    Settings of a user's own class stay, too: only that class knows what they mean.
    """
    return msgspec.structs.replace(settings, jobs=tuple(_with_texts(job, folder) for job in settings.jobs))


def template_texts(job: AnyJob) -> dict[str, str]:
    """The text of each setting of the job that is a template, by its name as in `job.NAME.SETTING`."""
    if isinstance(job, WatchSettings):
        return {f"{_COMMAND}{name}": text for name, text in job.commands}
    if not isinstance(job, CustomSettings):
        return {}
    names = TEMPLATES.get(job.handler, ())
    chosen = [key for key in job.params if key in names or f"{key.partition('.')[0]}." in names]
    return {key: job.texts.get(key, str(job.params[key])) for key in chosen}


def _with_texts(job: AnyJob, folder: Path) -> AnyJob:
    named = {key: text for key, text in template_texts(job).items() if text.startswith(FILE)}
    read = {key: _text(text, folder) for key, text in named.items()}
    if not read:
        return job
    if isinstance(job, WatchSettings):
        commands = tuple((name, read.get(f"{_COMMAND}{name}", text)) for name, text in job.commands)
        return msgspec.structs.replace(job, commands=commands)
    assert isinstance(job, CustomSettings)
    return msgspec.structs.replace(job, params={**job.params, **read})


def _text(setting: str, folder: Path) -> str:
    try:
        return read_template(setting, folder) or setting
    except TemplateError:
        return setting
