"""Reloads a service's configuration: after SIGHUP from the files, else when the group has adopted another one."""

import logging
import time
from typing import Final

from pyrotorque import logs
from pyrotorque.configuration import Configuration, ConfigurationWatch, reload
from pyrotorque.errors import SettingsError
from pyrotorque.service.lifecycle import Lifecycle

log = logging.getLogger(__name__)

# The files are checked in a separate process, which may take half a minute on a busy machine.
_DEADLINE: Final = 60.0


class ConfigurationReloader:
    """Holds the configuration in force; a broken one is logged and changes nothing."""

    def __init__(self, configuration: Configuration) -> None:
        self.current = configuration
        self._watch = ConfigurationWatch(configuration)

    def digest(self) -> str:
        """Identifies the configuration in force, for heartbeats."""
        return self.current.settings.digest

    def poll(self, life: Lifecycle) -> Configuration | None:
        """The new configuration, once; it is in force from now on, log level included."""
        now = time.monotonic()
        with life.step("reading the configuration", now + _DEADLINE):
            found = (self._read_files() if life.take_reload() else None) or self._adopted(now)
        if found is not None:
            self.current = found
            logs.set_level(found.settings.log_level)
            log.info("configuration reloaded")
        return found

    def _read_files(self) -> Configuration | None:
        try:
            found = reload(self.current)
        except SettingsError as error:
            for line in str(error).splitlines():
                log.error("%s", line)
            log.error(
                "configuration not reloaded, the previous one stays in force: fix these problems and reload again"
            )
            logs.owner_log(
                f"failed: configuration not reloaded, the previous one stays in force: {error}", level=logging.ERROR
            )
            return None
        self._watch.took(found)
        return found

    def _adopted(self, now: float) -> Configuration | None:
        settings = self._watch.changed(now)
        if settings is None:
            return None
        return Configuration(settings, self.current.layout, self.current.options, self.current.warnings)
