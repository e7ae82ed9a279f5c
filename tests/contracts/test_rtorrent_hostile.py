"""What the client does when the server misbehaves in ways that a real rTorrent cannot reproduce."""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.errors import RequestTooLarge, RTorrentFault, RTorrentUnavailable
from pyrotorque.rtorrent import RTorrent
from tests.fake_rtorrent import (
    OK,
    SEVEN,
    FakeRTorrent,
    Play,
    answer,
    answers,
    array,
    closes,
    drips,
    fault,
    is_silent,
    never_ends,
    refuses,
    sends,
    strings,
)
from tests.waiting import bound

Fake = Callable[..., FakeRTorrent]


@pytest.fixture
def fake(short_folder: Path) -> Generator[Fake]:
    with contextlib.ExitStack() as ending:

        def listening(*plays: Play) -> FakeRTorrent:
            server = FakeRTorrent(short_folder / "s", *plays)
            ending.callback(server.close)
            return server

        yield listening


def test_an_answer_is_read_to_its_announced_length(fake: Fake) -> None:
    assert RTorrent(fake(answers(OK)).url).call("system.pid") == 7


@pytest.mark.parametrize(
    "head", [b"Status: 200 OK\r\n\r\n", b"Status: 200 OK\n\n", b"content-length: %d\r\n\r\n" % len(OK)]
)
def test_other_spellings_of_the_header_are_read_too(fake: Fake, head: bytes) -> None:
    assert RTorrent(fake(sends(head + OK)).url).call("system.pid") == 7


def test_a_read_is_repeated_once_when_the_connection_broke_before_the_first_byte(fake: Fake) -> None:
    server = fake(closes, answers(OK))
    client = RTorrent(server.url)
    assert client.call("system.pid") == 7
    assert client.stats.retries == 1
    assert sum(client.stats.failures.values()) == 0
    assert server.requests[0] == server.requests[1]


def test_it_is_not_repeated_twice(fake: Fake) -> None:
    client = RTorrent(fake(closes, closes, answers(OK)).url)
    with pytest.raises(RTorrentUnavailable, match="broke the connection"):
        client.call("system.pid")
    assert (client.stats.retries, client.stats.failures["reset"]) == (1, 1)
    assert client.call("system.pid") == 7


def test_rows_are_a_read(fake: Fake) -> None:
    empty = (
        b"<methodResponse><params><param><value><array><data></data></array></value></param></params></methodResponse>"
    )
    assert RTorrent(fake(closes, answers(empty)).url).rows("main", ["d.hash="]) == []


@pytest.mark.parametrize("method", ["load.raw", "d.start", "d.custom1.set", "execute.throw"])
def test_an_effect_is_never_repeated(fake: Fake, method: str) -> None:
    server = fake(answers(OK), closes, answers(OK))
    client = RTorrent(server.url)
    client.call("system.pid")
    with pytest.raises(RTorrentUnavailable, match="broke the connection"):
        client.call(method, "")
    assert client.stats.retries == 0
    assert len(server.requests) == 2


def test_a_multicall_with_an_effect_in_it_is_never_repeated(fake: Fake) -> None:
    client = RTorrent(fake(answers(OK), closes, answers(OK)).url)
    client.call("system.pid")
    with pytest.raises(RTorrentUnavailable):
        client.multicall([("system.pid", []), ("d.start", ["A" * 40])])
    assert client.stats.retries == 0


def test_after_silence_a_read_goes_ahead_of_an_effect_because_only_a_read_can_be_repeated(fake: Fake) -> None:
    server = fake(closes, answers(OK), answers(OK), answers(OK))
    client = RTorrent(server.url)
    assert client.call("d.start", "A" * 40) == 7
    assert client.stats.retries == 1
    assert client.call("d.start", "A" * 40) == 7
    assert [b"system.pid" in request for request in server.requests] == [True, True, False, False]
    assert client.stats.requests == {"wake": 1, "d.start": 2}


def test_half_an_answer_is_never_repeated(fake: Fake) -> None:
    client = RTorrent(fake(answers(OK[:40], len(OK)), answers(OK)).url)
    with pytest.raises(RTorrentUnavailable, match=r"ended its answer after \d+ bytes"):
        client.call("system.pid")
    assert (client.stats.retries, client.stats.failures["reset"]) == (0, 1)


@contextlib.contextmanager
def within_a_second() -> Generator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < bound(1.0)


def test_silence_ends_with_the_deadline(fake: Fake) -> None:
    client = RTorrent(fake(is_silent).url, read_timeout=0.1)
    refused = pytest.raises(RTorrentUnavailable, match=r"did not answer within 0\.1 s: it is busy or hangs")
    with within_a_second(), refused:
        client.call("system.pid")
    assert (client.stats.retries, client.stats.failures["timeout"]) == (0, 1)


def test_a_dripping_answer_ends_with_the_deadline_too(fake: Fake) -> None:
    client = RTorrent(fake(drips).url, read_timeout=0.15)
    with within_a_second(), pytest.raises(RTorrentUnavailable, match=r"within 0\.15 s to the end"):
        client.call("system.pid")


def test_an_endless_answer_is_cut_off(fake: Fake) -> None:
    client = RTorrent(fake(never_ends).url, answer_max=1_000_000)
    with pytest.raises(RTorrentUnavailable, match="an answer of more than 1000000 bytes"):
        client.call("system.pid")
    assert client.stats.failures["parse"] == 1


def test_an_answer_that_announces_too_much_is_refused_before_it_is_read(fake: Fake) -> None:
    client = RTorrent(fake(answers(OK, 10**15)).url)
    with pytest.raises(RTorrentUnavailable, match="an answer of more than"):
        client.call("system.pid")


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (answers(b"\x00\xff\x1b[2Jgarbage"), "parse"),
        (answers(OK[:-10]), "parse"),
        (answers(b""), "parse"),
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "reset"),
        (sends(b"x" * 10_000), "parse"),
    ],
)
def test_garbage_is_reported_as_garbage(fake: Fake, play: Play, reason: str) -> None:
    client = RTorrent(fake(play).url)
    with pytest.raises(RTorrentUnavailable) as caught:
        client.call("system.pid")
    assert str(caught.value).isprintable()
    assert {name: count for name, count in client.stats.failures.items() if count} == {reason: 1}


def test_a_fault_inside_a_multicall_stays_in_its_slot(fake: Fake) -> None:
    slots = array(array(SEVEN), fault(-503, b"no"))
    seven, refused = RTorrent(fake(answers(answer(slots))).url).multicall([("system.pid", []), ("d.name", [])])
    assert seven == 7
    assert isinstance(refused, RTorrentFault)
    assert (str(refused), refused.code) == ("d.name: no", -503)


def test_a_multicall_with_a_slot_too_few_is_garbage_not_shifted(fake: Fake) -> None:
    body = answer(array())
    with pytest.raises(RTorrentUnavailable, match=r"system\.multicall of 1 calls returned"):
        RTorrent(fake(answers(body)).url).multicall([("system.pid", [])])


def test_a_large_request_that_is_cut_off_names_the_limit(fake: Fake) -> None:
    with pytest.raises(RequestTooLarge, match="0\\.9\\.8 accepts 2097152"):
        RTorrent(fake(answers(OK), closes).url).call("load.raw", "", b"x" * 3_000_000)


def test_a_full_queue_of_connections_is_waited_for_and_then_reported(short_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
        listener.bind(str(short_folder / "s"))
        listener.listen(0)
        first = waiting.enter_context(socket.socket(socket.AF_UNIX))
        first.connect(str(short_folder / "s"))
        client = RTorrent(f"scgi://{short_folder}/s", connect_timeout=0.1)
        began = time.monotonic()
        with pytest.raises(RTorrentUnavailable, match="accepts no more connections"):
            client.call("system.pid")
        assert 0.05 < time.monotonic() - began < bound(1.0)
        assert client.stats.failures["connect"] == 1


def test_an_untrusted_client_sends_the_header(fake: Fake) -> None:
    server = fake(answers(OK), answers(OK))
    RTorrent(server.url, untrusted=True).call("system.pid")
    RTorrent(server.url).call("system.pid")
    assert b"UNTRUSTED_CONNECTION\x001\x00" in server.requests[0]
    assert b"UNTRUSTED_CONNECTION" not in server.requests[1]


def test_a_request_is_framed_as_scgi(fake: Fake) -> None:
    server = fake(answers(OK))
    RTorrent(server.url).call("system.pid")
    head, _, body = server.requests[0].partition(b",<?xml")
    length, _, fields = head.partition(b":")
    assert int(length) == len(fields)
    assert fields.split(b"\0") == [b"CONTENT_LENGTH", b"%d" % len(b"<?xml" + body), b"SCGI", b"1", b""]


def test_a_socket_path_that_is_no_socket_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RTorrentUnavailable, match="no process listens"):
        RTorrent(f"scgi://{tmp_path}/file").call("system.pid")


def test_a_name_that_no_host_can_have_is_reported() -> None:
    with pytest.raises(RTorrentUnavailable, match="not a valid host name"):
        RTorrent("scgi://a..b:5000").call("system.pid")


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Generator[threading.Event]:
    """No name is looked up until this is set."""
    answers_again, look_up = threading.Event(), socket.getaddrinfo

    def late(host: str, *more: Any) -> Any:
        answers_again.wait(bound(30))
        return look_up("127.0.0.1", *more)

    monkeypatch.setattr(socket, "getaddrinfo", late)
    yield answers_again
    answers_again.set()


def test_a_name_server_that_is_silent_takes_no_longer_than_a_connect_may(name_server: threading.Event) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RTorrent(f"scgi://rtorrent.example:{listener.getsockname()[1]}", connect_timeout=0.2)
        began = time.monotonic()
        with pytest.raises(RTorrentUnavailable, match=r"no connection .* within 0\.2 s"):
            client.call("system.pid")
        assert time.monotonic() - began < bound(1.0)
        name_server.set()
        late, _ = listener.accept()
        with late:
            assert late.recv(1) == b"", "a connection that comes too late is closed"


@pytest.mark.parametrize(("host", "threads"), [("rtorrent.example", 1), ("127.0.0.1", 0), ("[::1]", 0)])
def test_only_a_name_costs_a_thread(monkeypatch: pytest.MonkeyPatch, host: str, threads: int) -> None:
    connecting: list[threading.Thread] = []

    def refused(*_: object, **__: object) -> None:
        connecting.append(threading.current_thread())
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    monkeypatch.setattr(socket, "create_connection", refused)
    with pytest.raises(RTorrentUnavailable, match="no process listens"):
        RTorrent(f"scgi://{host}:5000").call("system.pid")
    assert sum(thread is not threading.current_thread() for thread in connecting) == threads


def test_a_row_with_another_number_of_fields_is_read_again_unpacked(fake: Fake) -> None:
    whole = array(strings(b"A", b"x"), array(b"<value>B</value>", SEVEN))
    server = fake(answers(answer(array(strings(b"cut")))), answers(answer(whole)))
    assert RTorrent(server.url).rows("main", ["d.hash=", "d.message="]) == [("A", "x"), ("B", "7")]
    assert b"cat=" in server.requests[0]
    assert b"<string>d.hash=</string></value></param><param><value><string>d.message=" in server.requests[1]


def test_an_item_without_all_its_fields_is_left_out_and_logged(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    server = fake(answers(answer(array(strings(b"cut")))), answers(answer(array(strings(b"A"), strings(b"B", b"y")))))
    assert RTorrent(server.url).rows("main", ["d.hash=", "d.message="]) == [("B", "y")]
    assert "left out 1 items" in caplog.text


def test_an_rtorrent_with_only_the_new_name_is_called_by_it(fake: Fake) -> None:
    methods = answer(strings(b"d.multicall", b"system.pid"))
    none = answers(answer(array()))
    server = fake(refuses(-506, b"not defined"), answers(methods), none, none)
    client = RTorrent(server.url)
    assert client.rows("main", ["d.hash="]) == []
    assert client.rows("main", ["d.hash="]) == []
    assert client.stats.requests == {"d.multicall2": 1, "system.listMethods": 1, "d.multicall": 2}


def test_something_can_be_done_while_rtorrent_works(fake: Fake) -> None:
    done = threading.Event()

    def answers_when_it_is_done(connection: socket.socket) -> None:
        assert done.wait(bound(30))
        answers(OK)(connection)

    assert RTorrent(fake(answers_when_it_is_done).url).call("system.pid", meanwhile=done.set) == 7


def test_an_error_of_meanwhile_is_not_treated_as_a_broken_connection(fake: Fake) -> None:
    def disk_full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    client = RTorrent(fake(answers(OK), answers(OK)).url)
    with pytest.raises(OSError, match="No space left") as caught:
        client.call("system.pid", meanwhile=disk_full)
    assert type(caught.value) is OSError
    assert sum(client.stats.failures.values()) == 0


def test_an_error_of_meanwhile_does_not_wait_for_an_answer(fake: Fake) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    def fails() -> None:
        raise LookupError

    began = time.monotonic()
    with pytest.raises(LookupError):
        RTorrent(fake(silent).url).call("system.pid", timeout=600, meanwhile=fails)
    assert time.monotonic() - began < 300


LARGE = answer(strings(b"x" * 2_000_000))
"""More than the buffer of a socket: who sends it waits until it is read."""


def test_a_call_within_another_one_lets_rtorrent_send_its_answer(fake: Fake) -> None:
    client, found = RTorrent(fake(answers(LARGE), answers(OK)).url), list[object]()
    outer = client.call("d.multicall2", meanwhile=lambda: found.append(client.call("system.pid", timeout=60)))
    assert (outer, found) == (["x" * 2_000_000], [7])


def test_a_large_request_within_another_one_lets_rtorrent_send_its_answer(fake: Fake) -> None:
    def answers_the_whole(connection: socket.socket) -> None:
        while not connection.recv(1 << 16).endswith(b"</methodCall>"):
            pass
        answers(OK)(connection)

    client, found, text = RTorrent(fake(answers(LARGE), answers_the_whole).url), list[object](), "y" * 1_500_000
    outer = client.call("d.multicall2", meanwhile=lambda: found.append(client.call("cat", "", text, timeout=60)))
    assert (outer, found) == (["x" * 2_000_000], [7])


def test_calls_within_calls_let_rtorrent_send_all_answers(fake: Fake) -> None:
    client, found = RTorrent(fake(answers(LARGE), answers(LARGE), answers(OK)).url), list[object]()

    def innermost() -> None:
        found.append(client.call("system.pid", timeout=60))

    def inner() -> None:
        found.append(RTorrent(str(client.address)).call("d.multicall2", meanwhile=innermost, timeout=60))

    assert client.call("d.multicall2", meanwhile=inner) == ["x" * 2_000_000]
    assert found == [7, ["x" * 2_000_000]]


@pytest.mark.parametrize(
    ("play", "complaint"),
    [
        (sends(b"z" * 9_000), "does not use SCGI"),
        (sends(b"Content-Length: 100\r\n\r\n<?xml"), "ended its answer after"),
        (sends(b"Content-Length: 999999999999\r\n\r\n<?xml"), "more than"),
    ],
)
def test_a_bad_answer_that_arrives_within_another_call_is_an_error_of_its_own_call(
    fake: Fake, play: Play, complaint: str
) -> None:
    client, found = RTorrent(fake(play, answers(OK)).url), list[object]()
    with pytest.raises(RTorrentUnavailable, match=complaint):
        client.call("d.multicall2", meanwhile=lambda: found.append(client.call("system.pid", timeout=60)))
    assert found == [7]


def test_a_call_within_another_one_ends_with_its_own_deadline(fake: Fake) -> None:
    client, found = RTorrent(fake(is_silent).url), list[RTorrentUnavailable]()

    def waits_briefly() -> None:
        with pytest.raises(RTorrentUnavailable, match=r"did not answer within 0\.1 s") as caught:
            client.call("system.pid", timeout=0.1)
        found.append(caught.value)

    with pytest.raises(RTorrentUnavailable, match=r"did not answer within 0\.3 s"):
        client.call("d.multicall2", timeout=0.3, meanwhile=waits_briefly)
    assert found


def test_an_rtorrent_that_refuses_the_token_is_identified_by_its_pid(fake: Fake) -> None:
    facts = [array(fact) for fact in (SEVEN, b"<value>0.16.20</value>", b"<value>0.16</value>", b"<value>h</value>")]
    ping = answers(answer(array(*facts, fault(-506, b"not defined"))))
    refusal = refuses(-507, b"refused")
    identity = RTorrent(fake(ping, refusal, refusal).url, untrusted=True).identity()
    assert (identity.pid, identity.client_version, identity.incarnation) == (7, "0.16.20", "pid 7")


def test_an_identity_without_a_pid_is_a_fault(fake: Fake) -> None:
    with pytest.raises(RTorrentFault, match=r"^system\.pid: no$"):
        RTorrent(fake(answers(answer(array(*[fault(-1, b"no")] * 5)))).url).identity()
