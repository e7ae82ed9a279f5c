"""The private rTorrent of tests and of the demonstration: quick, alone, and gone when it should be."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.threads import side_by_side
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("rtorrent_program")

ROOT = Path(__file__).parents[2]

STARTS_ONE_AND_WAITS = """\
import sys, threading
from pathlib import Path
from demo.private_rtorrent import PrivateRTorrent
rtorrent = PrivateRTorrent(Path(sys.argv[1]))
thread = threading.Thread(target=rtorrent.start)
thread.start()
thread.join()
print(rtorrent.pid, flush=True)
sys.stdin.read()
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_answers_when_it_is_started_and_is_gone_when_it_is_stopped(short_folder: Path) -> None:
    with PrivateRTorrent(short_folder / "rt") as rtorrent:
        pid = rtorrent.pid
        assert rtorrent.running
        assert RTorrent(rtorrent.url).call("system.pid") == pid
    assert not is_alive(pid)
    assert not rtorrent.running


def test_starting_twice_is_starting_once(rtorrent: PrivateRTorrent) -> None:
    pid = rtorrent.pid
    assert rtorrent.start().pid == pid


def test_stopping_what_does_not_run_is_nothing(rtorrent: PrivateRTorrent) -> None:
    rtorrent.kill()
    rtorrent.kill()
    rtorrent.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = rtorrent.pid


@pytest.mark.parametrize("ending", [PrivateRTorrent.stop, PrivateRTorrent.kill])
def test_its_session_survives(rtorrent: PrivateRTorrent, ending: Callable[[PrivateRTorrent], None]) -> None:
    metafile = make_metafile("survivor")
    client = RTorrent(rtorrent.url)
    client.call("load.raw", "", metafile)
    eventually(lambda: client.rows("main", ["d.hash="]))
    eventually(lambda: list(rtorrent.session.glob("*.torrent.rtorrent")), why="the session is saved")
    ending(rtorrent)
    rtorrent.start()
    assert client.rows("main", ["d.hash="]) == [(info_hash(metafile),)]


def test_it_listens_on_the_loopback_only(rtorrent: PrivateRTorrent) -> None:
    client = RTorrent(rtorrent.url)
    client.call("load.raw_start", "", make_metafile("listening"))
    eventually(lambda: client.call("network.listen.port"), why="rTorrent listens for peers")
    inside = [sock for sock in psutil.Process(rtorrent.pid).net_connections("inet") if sock.status == "LISTEN"]
    assert {sock.laddr.ip.removeprefix("::ffff:") for sock in inside} == {"127.0.0.1"}


def test_it_is_found_complete_with_real_data(rtorrent: PrivateRTorrent) -> None:
    (rtorrent.downloads / "real.bin").write_bytes(b"real data" * 5000)
    metafile = make_metafile("real.bin", content=rtorrent.downloads / "real.bin")
    client = RTorrent(rtorrent.url)
    client.call("load.raw_start", "", metafile)
    eventually(lambda: client.rows("main", ["d.complete="]) == [("1",)], why="the data is found")


def test_it_dies_with_its_parent_even_when_that_is_killed_but_not_with_a_thread_of_it(short_folder: Path) -> None:
    command = [sys.executable, "-c", STARTS_ONE_AND_WAITS, str(short_folder / "rt")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert RTorrent(f"scgi://{short_folder}/rt/rtorrent.sock").call("system.pid") == pid
        parent.kill()
    eventually(lambda: not is_alive(pid), why="rTorrent ends with its parent")


def test_a_wrong_configuration_is_reported_and_leaves_no_process(short_folder: Path) -> None:
    broken = PrivateRTorrent(short_folder / "rt", extra_rc="no.such.command = 1")
    with pytest.raises(RuntimeError, match=r'Command "no\.such\.command" does not exist'):
        broken.start()
    assert not broken.running


def test_a_hanging_one_can_be_ended(rtorrent: PrivateRTorrent) -> None:
    pid = rtorrent.pid
    rtorrent.pause()
    rtorrent.kill()
    assert not is_alive(pid)


def test_a_folder_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="use a shorter folder"):
        PrivateRTorrent(tmp_path / ("x" * 100)).start()


def test_a_missing_program_is_reported_with_the_package_that_has_it(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(short_folder))
    with pytest.raises(RuntimeError, match="apt-get install rtorrent"):
        PrivateRTorrent(short_folder / "rt").start()


def test_many_start_side_by_side(short_folder: Path) -> None:
    rtorrents = [PrivateRTorrent(short_folder / str(number)) for number in range(4)]
    side_by_side(*(rtorrent.start for rtorrent in rtorrents))
    try:
        assert len({rtorrent.pid for rtorrent in rtorrents}) == 4
    finally:
        for rtorrent in rtorrents:
            rtorrent.kill()


def test_a_signal_to_the_terminal_does_not_reach_it(rtorrent: PrivateRTorrent) -> None:
    assert os.getsid(rtorrent.pid) == rtorrent.pid


@pytest.mark.rtorrent_version(">=0.16", reason="earlier ones end at once")
def test_an_orderly_stop_waits_for_a_udp_tracker_that_does_not_answer_and_saves_the_session(short_folder: Path) -> None:
    """0.16.17 takes 87 s, and saves only then."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        announce = f"udp://127.0.0.1:{silent.getsockname()[1]}/announce"
        metafile = make_metafile("waits", announce=announce)
        rtorrent = PrivateRTorrent(short_folder / "rt", extra_rc="trackers.use_udp.set = yes").start()
        try:
            client = RTorrent(rtorrent.url)
            client.call("load.raw_start", "", metafile)
            # The first announce is under way.
            silent.settimeout(20)
            silent.recv(100)
            client.call("d.custom.set", info_hash(metafile), "mark", "late")
            rtorrent.stop()
            saved = rtorrent.session / f"{info_hash(metafile)}.torrent.rtorrent"
            assert b"4:late" in saved.read_bytes()
        finally:
            rtorrent.kill()
