"""Configuration directories for tests, made from text."""

from pathlib import Path

import msgspec
import pytest

from pyrotorque.options import Options
from pyrotorque.settings import LoadedSettings, SettingsProblems, load
from pyrotorque.settings.schema import AnyJob, QueueSettings, RTorrentSettings, Settings

# The manual's minimal configuration.
MANUAL = """\
# "pyrotorque" configuration file
#
# For details, see https://pyrocore.readthedocs.io/en/latest/advanced.html#torque-config
#

[TORQUE]
# Queue manager
job.queue.active            = True
job.queue.schedule          = second=*/5
job.queue.intermission      = 60
job.queue.downloading_max   = 3
job.queue.startable         = is_ignored=0 message= prio>0
        [ prio>2 OR [ NOT [ traits=audio kind_25=jpg,png,tif,bmp ] ] ]
job.queue.downloading       = [ prio>1 [ down>3 OR started<2i ] ]

# Tree watch (works together with the queue)
job.treewatch.active        = True
job.treewatch.load_mode     = start
job.treewatch.queued        = True
job.treewatch.path          = /var/torrent/watch
job.treewatch.cmd.nfo       = f.multicall=*.nfo,f.priority.set=2
job.treewatch.cmd.jpg       = f.multicall=*.jpg,f.priority.set=2
job.treewatch.cmd.png       = f.multicall=*.png,f.priority.set=2
job.treewatch.cmd.tif       = f.multicall=*.tif,f.priority.set=0
job.treewatch.cmd.target    = {{# set target path
    }}d.custom.set=targetdir,/var/torrent/done/{{label}}/{{relpath}}
"""


def configured(folder: Path, torque: str, options: Options | None = None, **files: str) -> LoadedSettings:
    (folder / "torque.ini").write_text(torque)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return load(folder, options or Options())


def settings_for(url: str, folder: Path, torque: str) -> Settings:
    """The settings of `torque`, for an rTorrent of the test."""
    rtorrent = RTorrentSettings(url=url, origin="test")
    return msgspec.structs.replace(configured(folder, torque).settings, rtorrent=rtorrent)


def job(loaded: LoadedSettings, name: str) -> AnyJob:
    return next(job for job in loaded.settings.jobs if job.name == name)


def queue(folder: Path, *lines: str) -> QueueSettings:
    found = job(configured(folder, "\n".join(("[TORQUE]", *lines))), "queue")
    assert isinstance(found, QueueSettings)
    return found


def problems(folder: Path, torque: str, options: Options | None = None, **files: str) -> list[str]:
    with pytest.raises(SettingsProblems) as caught:
        configured(folder, torque, options, **files)
    return [str(problem) for problem in caught.value.problems]
