"""Reloads a service's configuration: after SIGHUP from the files, else when the group has adopted another one."""

import logging
import time
from typing import Final

from pyrotorque import logs
from pyrotorque.configuration import Configuration, check_in_subprocess, has_configured_address, reload
from pyrotorque.errors import SettingsError
from pyrotorque.humanize import duration
from pyrotorque.service.lifecycle import Lifecycle
from pyrotorque.settings.schema import Settings
from pyrotorque.stored_configuration import last_good, stored_file
from pyrotorque.text import one_line

log = logging.getLogger(__name__)

# The files are checked in a separate process, which may take half a minute on a busy machine.
_DEADLINE: Final = 60.0
_POLL_INTERVAL: Final = 2.0  # seconds
_SEARCH_FIRST, _SEARCH_MAX = 15.0, 600.0  # seconds between two searches for a running rTorrent


class ConfigurationWatch:
    """Detects that the group's configuration changed; polls the file at most every 2 seconds."""

    def __init__(self, configuration: Configuration) -> None:
        self._layout = configuration.layout
        self._settings = configuration.settings
        self._stamp_read = self._stamp()
        self._polled = self._searched = float("-inf")
        self._search_interval = _SEARCH_FIRST

    def changed(self, now: float) -> Settings | None:
        """The new settings, once; `now` is a monotonic clock in seconds."""
        if now - self._polled < _POLL_INTERVAL:
            return None
        self._polled = now
        self._search(now)
        if (stamp := self._stamp()) == self._stamp_read:
            return None
        self._stamp_read = stamp
        found = last_good(self._layout)
        if found is None or found.digest == self._settings.digest:
            return None
        self._settings = found
        return found

    def took(self, configuration: Configuration) -> None:
        """Record a configuration that the service has loaded itself (HUP), so that it is not reported again."""
        self._settings, self._stamp_read = configuration.settings, self._stamp()

    def _search(self, now: float) -> None:
        """Search for a running rTorrent while its address is not configured, at increasing intervals."""
        if has_configured_address(self._settings.rtorrent) or now - self._searched < self._search_interval:
            return
        self._search_interval = (
            min(2 * self._search_interval, _SEARCH_MAX) if self._searched > float("-inf") else _SEARCH_FIRST
        )
        self._searched = now
        try:
            check_in_subprocess(self._layout.config_dir, address_only=True)
        except SettingsError:
            return

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = stored_file(self._layout).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


class ConfigurationReloader:
    """Holds the configuration in force; a broken one is logged and changes nothing."""

    def __init__(self, configuration: Configuration) -> None:
        self.current = configuration
        self._broken_since = time.monotonic() if configuration.broken else None
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
            if self._broken_since is not None:
                took = duration(now - self._broken_since)
                self._broken_since = None
                text = f"the configuration files are valid again after {took}, and are in force"
                logs.owner_event("configuration valid", text)
            logs.set_level(found.settings.level_of(logs.service()))
            logs.set_format(found.settings.log_format)
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
            text = f"failed: configuration not reloaded, the previous one stays in force: {one_line(error)}"
            logs.owner_event("configuration wrong", text)
            self._broken_since = self._broken_since or time.monotonic()
            return None
        self._watch.took(found)
        return found

    def _adopted(self, now: float) -> Configuration | None:
        settings = self._watch.changed(now)
        if settings is None:
            return None
        return Configuration(settings, self.current.layout, self.current.options, self.current.warnings)
