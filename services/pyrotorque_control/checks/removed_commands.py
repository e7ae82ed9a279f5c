"""Which commands each version of rTorrent no longer has or ignores, and what to write instead.

The versions are those of the first release without the command. Since 0.16.14 many need rTorrent's option -D.
"""

import re
from dataclasses import dataclass
from typing import Final

from pyrotorque.rtorrent_version import RTorrentVersion

DELETE: Final = "delete it"
_DERIVED: Final = f"{DELETE}, rTorrent derives the limit from network.max_open_sockets.set"


@dataclass(frozen=True)
class CommandRemoval:
    """A command that is gone `since` a version, or has no effect; `until` a later version, if it came back."""

    since: RTorrentVersion
    instead: str
    has_no_effect: bool = False
    until: RTorrentVersion = ()

    def applies(self, version: RTorrentVersion) -> bool:
        return self.since <= version and (not self.until or version < self.until)


def _table() -> dict[str, CommandRemoval]:
    found = {
        old: CommandRemoval((0, 9, 7), new) for old, new in (pair.split() for pair in _REMOVED_IN_0_9_7.split("\n"))
    }
    for since, names in _REMOVED_LATER.items():
        for pair in names.strip().split("\n"):
            old, _, new = pair.strip().partition(" ")
            found[old] = CommandRemoval(since, new or DELETE)
    found["port_range"] = CommandRemoval((0, 16, 14), "network.port_range.set", until=(0, 16, 20))
    for since, names in _WITHOUT_EFFECT.items():
        for pair in names.strip().split("\n"):
            old, _, new = pair.strip().partition(" ")
            found[old] = CommandRemoval(since, new or DELETE, has_no_effect=True)
    return found


# rTorrent's src/main.cc: until 0.9.6 names that are redirected to others.
_REMOVED_IN_0_9_7: Final = """\
create_link d.create_link
delete_link d.delete_link
delete_tied d.delete_tied
dht_add_node dht.add_node
dht_statistics dht.statistics
execute_capture execute.capture
execute_capture_nothrow execute.capture_nothrow
execute_nothrow execute.nothrow
execute_raw execute.raw
execute_raw_nothrow execute.raw_nothrow
execute_throw execute.throw
http_cacert network.http.cacert.set
http_capath network.http.capath.set
http_proxy network.http.proxy_address.set
load load.normal
load_raw load.raw
load_raw_start load.raw_start
load_raw_verbose load.raw_verbose
load_start load.start
load_start_verbose load.start_verbose
load_verbose load.verbose
peer_exchange protocol.pex.set
port_open network.port_open.set
scgi_dont_route network.scgi.dont_route.set
session_save session.save
system.file_allocate system.file.allocate
system.file_allocate.set system.file.allocate.set
t.set_enabled t.is_enabled.set
system.method.erase method.erase
system.method.get method.get
system.method.has_key method.has_key
system.method.insert method.insert
system.method.list_keys method.list_keys
system.method.set method.set
system.method.set_key method.set_key
throttle_down throttle.down
throttle_ip throttle.ip
throttle_up throttle.up
tracker_numwant trackers.numwant.set
use_udp_trackers trackers.use_udp.set
view_add view.add
view_filter view.filter
view_filter_on view.filter_on
view_list view.list
view_set view.set
view_sort view.sort
view_sort_current view.sort_current
view_sort_new view.sort_new
xmlrpc_dialect network.xmlrpc.dialect.set
xmlrpc_size_limit network.xmlrpc.size_limit.set"""
# src/main.cc, command_local.cc and command_network.cc of each release.
_REMOVED_LATER: Final[dict[RTorrentVersion, str]] = {
    (0, 15, 4): "schedule_remove schedule.remove",
    (0, 16, 1): "dht_port dht.override_port.set",
    (0, 16, 14): """
        bind network.bind_address.set
        dht dht.mode.set
        dht.throttle.name
        dht.throttle.name.set
        encoding.add
        encoding_list
        execute2 execute
        file.append
        ip network.local_address.set
        key_layout keys.layout.set
        max_memory_usage pieces.memory.max.set
        network.http.max_open network.http.max_total_connections
        network.http.max_open.set network.http.max_total_connections.set
        port_random network.port_random.set
        proxy_address network.proxy_address.set
        schedule2 schedule
        schedule_remove2 schedule.remove
        throttle.ip
        torrent_list_layout ui.torrent_list.layout.set""",
    (0, 16, 16): """
        network.proxy_address network.proxy.http
        network.proxy_address.set network.proxy.http.set""",
    (0, 16, 18): """
        network.port_open
        network.port_open.set
        network.port_random network.listen.port.random
        network.port_random.set network.listen.port.random.set
        network.port_range network.listen.port.range
        network.port_range.set network.listen.port.range.set""",
}
_WITHOUT_EFFECT: Final[dict[RTorrentVersion, str]] = {
    (0, 16, 1): "dht.port.set dht.override_port.set",
    (0, 16, 12): "trackers.use_udp.set",
    # Too high system.sockets.*.min_alloc.set, which rTorrent's log advises, end it with an internal error.
    (0, 16, 15): f"""
        network.http.max_total_connections.set {_DERIVED}
        network.max_open_files.set {_DERIVED}""",
}
_TABLE: Final = _table()
_GETTERS: Final = (0, 9, 7)
_GROUP2: Final = (0, 16, 14)
_GETTER: Final = re.compile(r"(?P<kind>[dfpt]|fi)\.(?P<verb>get|set)_(?P<value>(?!\w+_queued)\w+)")
_RATE: Final = re.compile(r"(d\.(?:down|up|skip))_(rate|total)")


def replacement(name: str, version: RTorrentVersion) -> str:
    """What to write instead of `name`; follows names that were replaced several times."""
    while (removal := removal_of(name)) and removal.applies(version):
        name = removal.instead
    return name


def removal_of(name: str) -> CommandRemoval | None:
    if name.startswith("group2."):
        return CommandRemoval(_GROUP2, "group." + name.removeprefix("group2."))
    if name not in _TABLE and (old := _GETTER.fullmatch(name)):
        new = _RATE.sub(r"\1.\2", f"{old['kind']}.{old['value']}")
        return CommandRemoval(_GETTERS, new + (".set" if old["verb"] == "set" else ""))
    return _TABLE.get(name)


def removed_names(version: RTorrentVersion) -> dict[str, str]:
    """The commands that this version does not have, with their replacements."""
    return {
        name: replacement(name, version)
        for name, removal in _TABLE.items()
        if removal.applies(version) and not removal.has_no_effect
    }
