"""Samples of rtorrent.rc files: one that works on all versions, one for 0.9.8, one for 0.8."""

GOOD_RC = """\
# Works on rTorrent 0.9.8 to 0.16.
method.insert = cfg.base, private|const|string, (cat, (session.path), "../")
method.insert = cfg.logs, private|const|string, (cat, (cfg.base), "log/")
throttle.max_uploads.set = 50
throttle.max_uploads.global.set = 250
throttle.min_peers.normal.set = 20
throttle.max_peers.normal.set = 60
trackers.numwant.set = 80
protocol.encryption.set = allow_incoming,try_outgoing,enable_retry
protocol.pex.set = no
dht.mode.set = disable
network.http.dns_cache_timeout.set = 25
network.max_open_sockets.set = 600
pieces.memory.max.set = 800M
pieces.hash.on_completion.set = no
pieces.preload.type.set = 2
network.xmlrpc.size_limit.set = 4M
encryption = allow_incoming
check_hash = no
max_peers = 60
upload_rate = 0
ui.torrent_list.layout.set = full
keys.layout.set = qwerty
system.umask.set = 0027
view.sort_current = seeding, greater=d.ratio=
schedule = scratch, 3600, 3600, ((d.multicall2, "", main, "branch=d.complete=,d.custom1.set=done,d.custom1.set=open"))
schedule = low_disk, 5, 60, ((close_low_diskspace, 100M))
schedule = saved, 1200, 1200, ((session.save))
method.set_key = event.download.finished, own_mark, "d.custom.set=own_mark,$cat=$system.time="
method.set_key = event.download.finished, own_program, ((execute.nothrow, sh, -c, "ip=1 true", sh, ((d.name))))
execute.nothrow = true
log.open_file = "log", (cat, (session.path), "../rtorrent.log")
log.add_output = "info", "log"
"""

OLD_RC = """\
# As people wrote it for 0.9.8.
method.insert = cfg.base, private|const|string, (cat, (session.path), "../")
throttle.max_uploads.set = 50
network.port_range.set = 50000-50000
network.http.max_open.set = 50
network.max_open_files.set = 600
max_memory_usage = 800M
encoding.add = utf8
key_layout = qwerty
dht = disable
dht.port.set = 6881
dht_port = 6881
trackers.use_udp.set = yes
network.max_open_sockets.set = 300
log.open_file = "log", (cat, (session.path), "../rtorrent.log")
log.add_output = "tracker_debug", "log"
schedule2 = untied, 5, 5, ((remove_untied))
schedule2 = watch, 5, 5, ((load.start, (cat, (cfg.base), "watch/*.torrent")))
schedule_remove = untied
schedule_remove2 = watch
method.set_key = event.download.finished, own_program, ((execute2, sh, -c, "ip=1 true", sh, ((d.name))))
torrent_list_layout = full
"""

OLDEST_RC = """\
# As people wrote it for 0.8.
max_peers = 60
upload_rate = 0
peer_exchange = no
use_udp_trackers = no
schedule = watch,5,5,load_start=~/watch/*.torrent
system.method.set_key = event.download.finished,mark,"execute_nothrow=touch,$d.get_base_path="
"""
