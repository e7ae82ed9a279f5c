"""The client against the real rTorrent: calls, answers, and unusual names."""

import contextlib
import os
import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RequestTooLarge, RTorrentFault, RTorrentPermission, RTorrentUnavailable
from pyrotorque.rtorrent import RTorrent
from tests.programs import Program

pytestmark = pytest.mark.usefixtures("rtorrent_program")


@pytest.fixture
def looking(shared_rtorrent: PrivateRTorrent) -> RTorrent:
    """For tests that change nothing."""
    return RTorrent(shared_rtorrent.url)


def incarnation(client: RTorrent) -> str:
    return client.identity().incarnation


def test_nothing_is_connected_before_the_first_call(tmp_path: Path) -> None:
    client = RTorrent(f"scgi://{tmp_path}/absent")
    assert client.stats.requests == {}


def test_a_call_gives_a_typed_value(looking: RTorrent) -> None:
    assert isinstance(looking.call("system.client_version"), str)
    assert looking.call("network.xmlrpc.size_limit") == 512 * 1024
    assert looking.call("view.list") == ["main", "default", "name", "active", "started", "stopped", "complete",
                                         "incomplete", "hashing", "seeding", "leeching"]  # fmt: skip


@pytest.mark.parametrize("text", ["", "plain", "ü", " \t ", "<&>]]>", "\x01", "a\nb", "\x7f", "\u2028"])
def test_text_goes_to_rtorrent_and_back_unharmed(looking: RTorrent, text: str) -> None:
    assert looking.call("cat", "", text) == text


def test_a_carriage_return_arrives_and_is_shown_as_a_line_feed_by_0_9_8(looking: RTorrent) -> None:
    assert looking.call("cat", "", "a\rb") == "a\nb"


@pytest.mark.parametrize("number", [0, -1, 2**31 - 1, 2**31, -(2**40), 2**63 - 1])
def test_numbers_of_64_bits_go_to_rtorrent_unharmed(looking: RTorrent, number: int) -> None:
    assert looking.call("cat", "", number) == str(number)


def test_lists_and_bytes_are_parameters_too(looking: RTorrent) -> None:
    assert looking.call("cat", "", ["a", ["b", 1]], b"bytes") == "ab1bytes"


def test_a_fault_names_the_call_and_has_its_code(looking: RTorrent) -> None:
    with pytest.raises(RTorrentFault, match=r"no\.such: Method 'no\.such' not defined") as caught:
        looking.call("no.such")
    assert caught.value.code == -506


def test_many_calls_are_one_request_and_a_fault_stays_in_its_slot(looking: RTorrent) -> None:
    first, fault, last = looking.multicall([("system.pid", []), ("d.name", ["A" * 40]), ("cat", ["", "x"])])
    assert isinstance(first, int)
    assert isinstance(fault, RTorrentFault)
    assert re.fullmatch(r"d\.name: (Could not find info-hash\.|invalid parameters: info-hash not found)", str(fault))
    assert last == "x"
    assert looking.stats.requests == {"system.multicall": 1}


def test_no_calls_are_no_request(looking: RTorrent) -> None:
    assert looking.multicall([]) == []
    assert looking.stats.requests == {}


def test_a_multicall_above_the_limit_of_a_request_is_divided(looking: RTorrent) -> None:
    texts = [f"{number:0100d}" for number in range(6000)]
    assert looking.multicall([("cat", ["", text]) for text in texts]) == texts
    assert looking.stats.requests["system.multicall"] > 1


def test_known_commands_are_read_once(looking: RTorrent) -> None:
    assert looking.known("d.multicall.filtered")
    assert looking.known("d.custom=tm_loaded")
    assert not looking.known("d.nosuch=")
    assert "system.pid" in looking.methods()
    assert looking.stats.requests == {"system.listMethods": 1}


def test_an_identity_shows_which_rtorrent_answers(
    looking: RTorrent, shared_rtorrent: PrivateRTorrent, rtorrent_program: Program
) -> None:
    identity = looking.identity()
    assert (identity.pid, identity.client_version) == (shared_rtorrent.pid, rtorrent_program.version)
    assert identity.library_version == ("0.13.8" if rtorrent_program.version == "0.9.8" else rtorrent_program.version)
    assert identity.hostname
    assert looking.identity() == identity


def test_two_clients_see_the_same_incarnation(rtorrent: PrivateRTorrent) -> None:
    clients = [RTorrent(rtorrent.url) for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as threads:
        seen = list(threads.map(incarnation, clients))
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_a_restart_is_a_new_incarnation_and_its_commands_are_read_again(
    client: RTorrent, rtorrent: PrivateRTorrent
) -> None:
    before = client.identity()
    client.call("method.insert", "", "only.now", "value|const", 5)
    assert client.known("only.now")
    rtorrent.kill()
    rtorrent.start()
    after = client.identity()
    assert after.incarnation != before.incarnation
    assert not client.known("only.now")


def test_an_rtorrent_that_is_not_running_is_unavailable(client: RTorrent, rtorrent: PrivateRTorrent) -> None:
    rtorrent.kill()
    with pytest.raises(RTorrentUnavailable, match=r"no process listens at scgi:///.*rtorrent\.sock"):
        client.call("system.pid")
    rtorrent.socket.unlink()
    with pytest.raises(RTorrentUnavailable, match=r"there is no socket scgi:///.*rtorrent\.sock"):
        client.call("system.pid")
    rtorrent.start()
    assert client.call("system.pid") == rtorrent.pid
    assert client.stats.failures["connect"] == 2


def test_an_rtorrent_that_hangs_costs_the_deadline_and_no_more(client: RTorrent, rtorrent: PrivateRTorrent) -> None:
    rtorrent.pause()
    with pytest.raises(RTorrentUnavailable, match=r"did not answer within 0\.2 s"):
        client.call("system.pid", timeout=0.2)
    rtorrent.resume()
    assert client.call("system.pid") == rtorrent.pid
    assert client.stats.failures["timeout"] == 1
    assert client.stats.retries == 0


def test_the_two_limits_of_a_request_are_distinguished(looking: RTorrent) -> None:
    with pytest.raises(RequestTooLarge, match=r"600\d\d\d bytes .* network\.xmlrpc\.size_limit\.set"):
        looking.call("cat", "", "x" * 600_000)
    with pytest.raises(
        RequestTooLarge, match=r"3000\d\d\d bytes(: 0\.9\.8 accepts 2097152| .* network\.xmlrpc\.size_limit)"
    ):
        looking.call("cat", "", "x" * 3_000_000)
    assert looking.stats.failures["too_large"] == 2


def test_a_raised_limit_is_honoured(short_folder: Path) -> None:
    with PrivateRTorrent(short_folder / "rt", extra_rc="network.xmlrpc.size_limit.set = 2M") as rtorrent:
        assert RTorrent(rtorrent.url).call("cat", "", "x" * 1_000_000) == "x" * 1_000_000


def test_a_socket_that_is_closed_to_us_is_a_matter_of_permission(client: RTorrent, rtorrent: PrivateRTorrent) -> None:
    rtorrent.socket.chmod(0)
    for folder in (rtorrent.folder, rtorrent.folder.parent):
        folder.chmod(0o755)
    with as_another_user(), pytest.raises(RTorrentPermission, match=r"belongs to uid \d+, gid \d+, mode 0000: run as"):
        client.call("system.pid")
    assert client.stats.failures["permission"] == 1


def test_a_folder_that_is_closed_to_us_is_a_matter_of_permission(client: RTorrent, rtorrent: PrivateRTorrent) -> None:
    if os.geteuid() != 0:
        rtorrent.folder.chmod(0)
    try:
        with as_another_user(), pytest.raises(RTorrentPermission, match="a parent folder is not accessible"):
            client.call("system.pid")
    finally:
        rtorrent.folder.chmod(0o700)


def test_rtorrent_is_reached_over_tcp_too(short_folder: Path) -> None:
    with PrivateRTorrent(short_folder / "rt", tcp=True) as rtorrent:
        client = RTorrent(rtorrent.url)
        assert client.call("system.pid") == rtorrent.pid
        assert RTorrent(rtorrent.url.replace("127.0.0.1", "localhost")).call("system.pid") == rtorrent.pid
        with pytest.raises(RequestTooLarge, match=r"3000\d\d\d bytes"):
            client.call("cat", "", "x" * 3_000_000)
    with pytest.raises(
        RTorrentUnavailable, match=r"no process listens at scgi://127\.0\.0\.1:\d+: rTorrent is not running"
    ):
        client.call("system.pid")


def test_durations_and_bytes_are_counted_under_their_label(looking: RTorrent) -> None:
    looking.call("system.pid", label="ping")
    looking.rows("main", ["d.hash="], label="items")
    with pytest.raises(RTorrentFault):
        looking.call("no.such", label="ping")
    stats = looking.stats
    assert stats.requests == {"ping": 2, "items": 1}
    assert stats.failures["fault"] == 1
    assert (stats.durations["ping"].count, sum(stats.durations["ping"].buckets)) == (2, 2)
    assert 0 < stats.durations["ping"].total < 5
    assert stats.parse_durations["items"].count == 1
    assert stats.request_bytes > 300
    assert stats.response_bytes > 300


@contextlib.contextmanager
def as_another_user() -> Generator[None]:
    """As a user without rights; without root this process is one, as the file has mode 0."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


LARGE = [("system.listMethods", ())] * 20


def test_rtorrent_is_called_again_before_a_large_answer_is_there(looking: RTorrent) -> None:
    """Until a client reads its answer, rTorrent serves no other one: what waits for it would wait for its deadline."""
    found = list[object]()
    answers = looking.multicall(LARGE, meanwhile=lambda: found.append(looking.call("system.pid", timeout=60)))
    assert looking.stats.response_bytes > 500_000
    assert len(answers) == len(LARGE)
    assert found


def test_other_clients_are_served_before_a_large_answer_is_used(looking: RTorrent) -> None:
    found = list[object]()

    def another() -> None:
        found.append(RTorrent(str(looking.address)).call("system.pid", timeout=60))

    assert len(looking.multicall(LARGE, meanwhile=another)) == len(LARGE)
    assert found
