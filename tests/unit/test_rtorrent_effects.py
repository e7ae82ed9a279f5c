"""Which calls may be repeated when their connection broke, and which may not."""

import pytest

from pyrotorque.rtorrent.effects import changes_something
from pyrotorque.rtorrent.xml import Param

READS = [
    "system.pid", "system.client_version", "system.listMethods", "system.time", "system.files.opened_counter",
    "d.hash", "d.name", "d.custom", "d.custom1", "d.is_open", "d.is_active", "d.message", "d.loaded_file", "d.views",
    "d.timestamp.started", "d.timestamp.finished", "d.tracker_size", "d.up.rate", "d.tied_to_file", "d.priority",
    "d.tracker_numwant",
    "d.load_date", "d.state", "d.complete", "d.directory", "d.directory_base", "d.throttle_name",
    "t.url", "t.is_enabled", "f.path", "f.size_bytes", "p.address", "view.size", "view.list", "view.size_not_visible",
    "throttle.global_up.rate", "network.open_sockets", "network.max_open_files", "network.listen.port", "cat",
    "download_list", "pieces.stats.total_size", "pyrotorque.incarnation", "session.path", "directory.default",
    "network.http.max_open",
    "network.scgi.dont_route", "network.http.current_open", "network.port_open", "trackers.numwant", "dht.statistics",
]  # fmt: skip

EFFECTS = [
    "load.raw", "load.raw_start", "load.normal", "load.start", "load_start", "load.verbose", "load.raw_start_verbose",
    "d.start", "d.stop", "d.open", "d.close", "d.try_start", "d.try_stop", "d.pause", "d.resume", "d.erase",
    "d.custom.set", "d.custom1.set", "d.priority.set", "d.directory.set", "d.directory_base.set", "d.tied_to_file.set",
    "d.throttle_name.set", "d.message.set", "d.ignore_commands.set", "d.views.push_back", "d.views.push_back_unique",
    "d.views.remove", "d.views.has.set", "d.check_hash", "d.save_full_session", "d.save_resume", "d.delete_tied",
    "d.update_priorities", "d.tracker_announce", "d.tracker.insert", "d.create_link", "d.delete_link", "d.add_peer",
    "execute", "execute2", "execute.throw", "execute.capture", "execute.nothrow.bg", "execute_throw",
    "method.insert", "method.set_key", "method.set", "method.erase", "method.redirect", "schedule", "schedule2",
    "schedule_remove2", "import", "try_import", "print", "log.open_file", "system.shutdown.normal", "system.shutdown",
    "system.cwd.set", "system.env.set", "system.umask.set", "system.daemon.set", "session.save", "session.path.set",
    "view.add", "view.filter", "view.sort", "view.sort_new", "view.set_visible", "view.filter_on", "view.persistent",
    "throttle.global_down.max_rate.set", "throttle.up", "network.port_range.set", "network.scgi.open_local",
    "t.is_enabled.set", "t.enable", "t.disable", "f.priority.set", "p.disconnect", "p.banned.set",
    "ratio.disable", "group.seeding.ratio.enable", "dht.mode.set", "dht.add_node", "directory.watch.added",
    "start_tied", "stop_untied", "close_untied", "remove_untied", "port_range", "max_uploads", "scgi_port",
    "d.tracker_announce.force", "f.unset_create_queued", "f.prioritize_first.enable", "close_low_diskspace",
    "close_low_diskspace.normal",
]  # fmt: skip


@pytest.mark.parametrize("method", READS)
def test_a_read_may_be_repeated(method: str) -> None:
    assert not changes_something(method)


@pytest.mark.parametrize("method", EFFECTS)
def test_an_effect_is_never_repeated(method: str) -> None:
    assert changes_something(method)


@pytest.mark.parametrize(
    ("method", "params", "verdict"),
    [
        ("d.multicall2", ["", "main", "d.hash=", "d.name="], False),
        ("d.multicall2", ["", "main", "d.hash=", "d.start="], True),
        ("d.multicall2", ["", "main", "branch=d.complete=,d.stop="], True),
        ("d.multicall.filtered", ["", "main", "d.is_open=", "d.custom1.set=x"], True),
        ("d.multicall.filtered", ["", "main", "d.is_open=", "d.hash="], False),
        ("t.multicall", ["A" * 40, "", "t.url="], False),
        ("t.multicall", ["A" * 40, "", "t.disable="], True),
        ("d.custom", ["A" * 40, "d.start="], False),
    ],
)
def test_commands_run_for_many_count_as_calls(method: str, params: list[Param], verdict: bool) -> None:
    assert changes_something(method, params) is verdict
