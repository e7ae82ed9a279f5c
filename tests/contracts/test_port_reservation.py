"""The port of the panel stays its user's while no process listens on it, and gets no connections meanwhile."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import free_port
from pyrotorque.port_reservation import ListenPlace, PortReservation, WantedPort, listen_place, shared_socket
from pyrotorque.settings.schema import PanelSettings
from pyrotorque_panel.listeners import PanelListeners
from pyrotorque_panel.server import ListenError, listen_tcp

OTHER_USER = 65534
_BIND = """
import itertools, os, socket, sys
os.setgid({user}); os.setuid({user})
for address, reuses, shares in itertools.product(("127.0.0.1", "0.0.0.0", "::1", "::"), (0, 1), (0, 1)):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuses)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        try:
            made.bind((address, {port}))
            made.listen()
        except OSError:
            continue
        print(address, reuses, shares)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "panel.port"


@pytest.fixture
def reservation(file: Path) -> Iterator[PortReservation]:
    made = PortReservation(file)
    yield made
    made.close()


def want(file: Path, port: int | None) -> None:
    WantedPort(file).store(None if port is None else listen_place("127.0.0.1", port))


def is_free(port: int) -> bool:
    """For a program that does not share."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def binds_of_another_user(port: int) -> str:
    code = _BIND.format(user=OTHER_USER, port=port)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_another_user_gets_the_port_only_if_it_is_not_reserved(file: Path, reservation: PortReservation) -> None:
    port = free_port()
    assert "::1" in binds_of_another_user(port), "the port is free"
    want(file, port)
    reservation.update()
    assert binds_of_another_user(port) == ""
    listener = listen_tcp("127.0.0.1", port)
    assert binds_of_another_user(port) == ""
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = listener.accept()
    listener.close()
    assert binds_of_another_user(port) == "", "the panel has ended, with an open connection"
    server.close()
    client.close()
    assert binds_of_another_user(port) == "", "a closed connection is left"
    reservation.close()
    assert "::1" in binds_of_another_user(port)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_another_user_gets_no_address_of_localhost_while_the_panel_listens_on_one(address: str) -> None:
    """A browser that is given this name tries both, and would send its cookies and passwords to the first."""
    port, listeners = free_port(), PanelListeners()
    try:
        for copy in listeners.copies(PanelSettings(active=True, address=address, port=port)):
            copy.close()
        assert [found for found in ("127.0.0.1", "::1") if found in binds_of_another_user(port)] == []
        if address in ("127.0.0.1", "0.0.0.0"):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("::1", port))  # and tries the other one
    finally:
        listeners.close()
    assert "::1" in binds_of_another_user(port)


def test_a_port_that_another_program_has_on_the_other_address_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    listeners = PanelListeners()
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = int(other.getsockname()[1])
        for _ in range(2):
            for copy in listeners.copies(PanelSettings(active=True, port=port)):
                copy.close()
        listeners.close()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "open the panel by 127.0.0.1 only" in line


def test_a_reserved_port_refuses_connections_until_the_panel_listens(file: Path, reservation: PortReservation) -> None:
    port = free_port()
    want(file, port)
    reservation.update()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with listen_tcp("127.0.0.1", port) as listener, socket.create_connection(("127.0.0.1", port)) as client:
            server, _ = listener.accept()
            server.sendall(b"x")
            assert client.recv(1) == b"x"
            server.close()  # the socket in TIME_WAIT is ours


def test_another_panel_of_the_same_user_does_not_share_the_port(file: Path, reservation: PortReservation) -> None:
    port = free_port()
    want(file, port)
    reservation.update()
    for address in ("127.0.0.1", "0.0.0.0"):
        with listen_tcp(address, port), pytest.raises(ListenError, match=r"set another panel\.port"):
            listen_tcp("127.0.0.1", port)


def test_the_reservation_follows_the_file(file: Path, reservation: PortReservation) -> None:
    first, second = free_port(), free_port()
    reservation.update()
    want(file, first)
    reservation.update()
    assert (is_free(first), is_free(second)) == (False, True)
    want(file, second)
    reservation.update()
    assert (is_free(first), is_free(second)) == (True, False)
    file.write_text("garbage")
    reservation.update()
    file.unlink()  # as systemd-tmpfiles does
    reservation.update()
    assert not is_free(second)
    want(file, None)
    reservation.update()
    assert is_free(second)


def test_a_port_that_another_program_has_is_reserved_as_soon_as_it_is_free(
    file: Path, reservation: PortReservation
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        want(file, port)
        reservation.update()
    assert is_free(port)
    reservation.update()
    assert not is_free(port)


def test_an_address_of_another_family_or_host_is_no_error(file: Path, reservation: PortReservation) -> None:
    for place in (ListenPlace(socket.AF_INET6, ("::1", free_port(), 0, 0)), ListenPlace(12345, ("x",)),
                  ListenPlace(socket.AF_INET, ("192.0.2.1", 1)), ListenPlace(socket.AF_INET, (1, "x"))):  # fmt: skip
        WantedPort(file).store(place)
        reservation.update()
    with pytest.raises(OSError, match="assign"):
        shared_socket(ListenPlace(socket.AF_INET, ("192.0.2.1", 1)))


def test_the_file_is_written_only_when_the_address_changes(file: Path) -> None:
    wanted = WantedPort(file)
    wanted.store(listen_place("127.0.0.1", 9180))
    written = file.stat()
    wanted.store(listen_place("127.0.0.1", 9180))
    assert (file.stat().st_ino, file.stat().st_mode & 0o777) == (written.st_ino, 0o600)
    WantedPort(None).store(None)
    WantedPort(file / "no folder").store(None)
