"""The group's rTorrent, for sub-commands that call it directly."""

import click
import msgspec

from pyrotorque.errors import SettingsError
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings import load
from pyrotorque.settings.schema import Settings
from pyrotorque.stored_configuration import last_good
from pyrotorque_control.group import Group


def settings_of(group: Group) -> Settings:
    """Settings from the files, without checks of the jobs, or the last good ones if the files are wrong.

    rTorrent's address is the one that the group has found when no file contains it.
    """
    stored = last_good(group.layout)
    try:
        settings = load(group.config_dir, group.options).settings
    except SettingsError as error:
        if stored is None:
            raise
        _warn_once(f"pyrotorque: warning: using the last good configuration: {error}")
        return stored
    if settings.rtorrent.url is None and stored is not None:
        return msgspec.structs.replace(settings, rtorrent=stored.rtorrent)
    return settings


def _warn_once(text: str) -> None:
    """Print the text, unless this command has printed it before."""
    context = click.get_current_context(silent=True)
    shown: set[str] = set() if context is None else context.meta.setdefault("pyrotorque.warnings", set())
    if text not in shown:
        click.echo(text, err=True)
    shown.add(text)


def rtorrent_of(settings: Settings, *, timeout: float | None = None) -> RTorrent:
    """A client with the deadlines from the settings, or `timeout`; raises SettingsError when no address is known."""
    connection = settings.rtorrent
    if timeout:
        connection = msgspec.structs.replace(connection, connect_timeout=timeout, read_timeout=timeout)
    client = RTorrent.from_settings(connection)
    if client is None:
        raise SettingsError(
            "rTorrent's address is not known: set scgi_url in [TORQUE], or start rTorrent and the group"
        )
    return client
