"""The listening sockets of the panel stay open as long as their addresses are wanted."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import free_port
from pyrotorque.settings.schema import PanelSettings
from pyrotorque_panel import server
from pyrotorque_panel.listeners import PanelListeners
from pyrotorque_panel.server import ListenError, listen_tcp


@pytest.fixture
def listeners() -> Iterator[PanelListeners]:
    made = PanelListeners()
    yield made
    made.close()


def opened(listeners: PanelListeners, settings: PanelSettings) -> None:
    """Opened for a web server that has ended."""
    for each in listeners.copies(settings):
        each.close()


def is_free(port: int) -> bool:
    """Whether another program could listen there."""
    try:
        listen_tcp("127.0.0.1", port).close()
    except ListenError:
        return False
    return True


def settings(port: int, path: Path | None = None, mode: int = 0o660) -> PanelSettings:
    return PanelSettings(active=True, port=port, socket=path, socket_mode=mode)


def test_an_address_that_stays_is_not_closed(listeners: PanelListeners, short_folder: Path) -> None:
    port, path = free_port(), short_folder / "p.sock"
    opened(listeners, settings(port, path))
    node = path.stat().st_ino
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        opened(listeners, settings(port, path))
        assert (is_free(port), path.stat().st_ino) == (False, node)
        (server,) = listeners.copies(settings(port))
        client, _ = server.accept()
        client.sendall(b"x")
        assert waiting.recv(1) == b"x", "a client that connected in between is served"
        client.close()
        server.close()
    assert not path.exists()
    listeners.close()
    assert is_free(port)


def test_a_socket_with_another_mode_or_that_was_removed_is_made_again(
    listeners: PanelListeners, short_folder: Path
) -> None:
    path = short_folder / "p.sock"
    opened(listeners, settings(0, path))
    opened(listeners, settings(0, path, 0o600))
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    opened(listeners, settings(0, path, 0o600))
    assert path.is_socket()


def test_other_addresses_replace_the_old_ones(listeners: PanelListeners) -> None:
    first, second = free_port(), free_port()
    opened(listeners, settings(first))
    opened(listeners, settings(second))
    assert (is_free(first), is_free(second)) == (True, False)
    with pytest.raises(ListenError):
        opened(listeners, settings(second, Path("/nonexistent/p.sock")))
    assert is_free(second), "all or none"


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "203.0.113.7"])
def test_an_address_that_this_machine_does_not_have_yet_is_named_so_and_not_connected_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed: list[object] = []

    def probe(place: object) -> bool:
        probed.append(place)
        return True

    monkeypatch.setattr(server, "_is_served", probe)
    with pytest.raises(ListenError, match=r"set panel\.address in torque\.ini to an address of this machine"):
        listen_tcp(address, free_port())
    assert probed == [], "another machine may have it"


def test_a_second_panel_of_the_same_user_does_not_share_a_port() -> None:
    port = free_port()
    with listen_tcp("127.0.0.1", port), pytest.raises(ListenError, match="another program listens there"):
        listen_tcp("127.0.0.1", port)
