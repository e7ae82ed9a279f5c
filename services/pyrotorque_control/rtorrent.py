"""The group's rTorrent, for commands that ask it themselves."""

from dataclasses import dataclass

from pyrotorque.configuration import last_good
from pyrotorque.errors import SettingsError
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings import load
from pyrotorque.settings.schema import Settings
from pyrotorque_control.group import Group


@dataclass(frozen=True)
class Reached:
    """A client that has not connected yet, and the settings of the group."""

    rtorrent: RTorrent
    settings: Settings


def settings_of(group: Group) -> Settings:
    """What the files say, with the address that the group has found where they do not say it; jobs are not checked."""
    settings = load(group.config_dir, group.options).settings
    if settings.rtorrent.url is None and (kept := last_good(group.layout)) is not None:
        import msgspec

        return msgspec.structs.replace(settings, rtorrent=kept.rtorrent)
    return settings


def reach(group: Group, *, patience: float | None = None) -> Reached:
    """With the settings' deadlines, or `patience` seconds; raises SettingsError where nobody knows the address."""
    settings = settings_of(group)
    address = settings.rtorrent
    if address.url is None:
        raise SettingsError(
            "rTorrent's address is not known: set scgi_url in [TORQUE], or start rTorrent and the group"
        )
    connect, read = (patience, patience) if patience else (address.connect_timeout, address.read_timeout)
    rtorrent = RTorrent(address.url, connect_timeout=connect, read_timeout=read)
    return Reached(rtorrent, settings)
