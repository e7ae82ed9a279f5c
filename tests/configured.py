"""Configuration directories for tests, made from text."""

from pathlib import Path

import msgspec
import pytest

from pyrotorque.options import Options
from pyrotorque.settings import Loaded, SettingsProblems, load
from pyrotorque.settings.schema import AnyJob, QueueSettings, RTorrentSettings, Settings


def configured(folder: Path, torque: str, options: Options | None = None, **files: str) -> Loaded:
    (folder / "torque.ini").write_text(torque)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return load(folder, options or Options())


def settings_for(url: str, folder: Path, torque: str) -> Settings:
    """What `torque` says, for an rTorrent of the test."""
    rtorrent = RTorrentSettings(url=url, origin="test")
    return msgspec.structs.replace(configured(folder, torque).settings, rtorrent=rtorrent)


def job(loaded: Loaded, name: str) -> AnyJob:
    return next(job for job in loaded.settings.jobs if job.name == name)


def queue(folder: Path, *lines: str) -> QueueSettings:
    found = job(configured(folder, "\n".join(("[TORQUE]", *lines))), "queue")
    assert isinstance(found, QueueSettings)
    return found


def problems(folder: Path, torque: str, options: Options | None = None, **files: str) -> list[str]:
    with pytest.raises(SettingsProblems) as caught:
        configured(folder, torque, options, **files)
    return [str(problem) for problem in caught.value.problems]
