"""Whether the group has another configuration now: HUP came, or somebody else has read new files."""

import logging
import time
from typing import Final

from pyrotorque import logs
from pyrotorque.configuration import Configuration, ConfigurationWatch, reload
from pyrotorque.errors import SettingsError
from pyrotorque.service.lifecycle import Lifecycle

log = logging.getLogger("pyrotorque_scheduler")

# Files are checked in a process of its own, which may take half a minute on a busy machine.
_DEADLINE: Final = 60.0


class Changes:
    """Looks for a configuration that comes after the current one; one that is broken changes nothing."""

    def __init__(self, current: Configuration, life: Lifecycle) -> None:
        self._current = current
        self._life = life
        self._watch = ConfigurationWatch(current)

    def following(self) -> Configuration | None:
        """The next configuration, once there is one."""
        with self._life.step("reading the configuration", time.monotonic() + _DEADLINE):
            found = (self._reloaded() if self._life.take_reload() else None) or self._told()
        if found is not None:
            logs.set_level(found.settings.log_level)
        return found

    def _reloaded(self) -> Configuration | None:
        try:
            found = reload(self._current)
        except SettingsError as error:
            for line in ("the new configuration is broken; the old one stays", *str(error).splitlines()):
                log.error("%s", line)
            logs.owner_log(f"failed: the new configuration is broken, the old one stays: {error}")
            return None
        log.info("configuration read again")
        return found

    def _told(self) -> Configuration | None:
        settings = self._watch.changed(time.monotonic())
        if settings is None:
            return None
        log.info("the group has another configuration")
        return Configuration(settings, self._current.layout, self._current.options)
