"""Addresses of rTorrent as owners write them."""

import pytest

from pyrotorque.errors import SettingsError
from pyrotorque.rtorrent import Address, TcpAddress, UnixAddress, parse_url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("scgi:///run/rtorrent/rpc.socket", UnixAddress("/run/rtorrent/rpc.socket")),
        ("  scgi:///run/rpc.socket\n", UnixAddress("/run/rpc.socket")),
        ("scgi+unix:///run/rpc.socket", UnixAddress("/run/rpc.socket")),
        ("scgi:////run//rpc.socket", UnixAddress("//run//rpc.socket")),
        ("scgi:///home/a b/rpc%20.socket", UnixAddress("/home/a b/rpc%20.socket")),
        ("scgi://127.0.0.1:5000", TcpAddress("127.0.0.1", 5000)),
        ("scgi://localhost:5000/", TcpAddress("localhost", 5000)),
        ("scgi://[::1]:5000", TcpAddress("::1", 5000)),
    ],
)
def test_an_address_is_a_socket_path_or_a_port(text: str, address: Address) -> None:
    assert parse_url(text) == address


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/owner")
    assert parse_url("scgi://~/rtorrent/rpc.socket") == UnixAddress("/home/owner/rtorrent/rpc.socket")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "scgi://",
        "scgi:5000",
        "scgi://host",
        "scgi://host:0",
        "scgi://host:65536",
        "scgi://host:five",
        "scgi://user@host:5000",
        "scgi+ssh://host/path",
        "http://localhost/RPC2",
        "/run/rpc.socket",
        "localhost:5000",
        "scgi://ho st:5000",
        "scgi+unix://host:5000",
    ],
)
def test_anything_else_is_refused_with_the_forms_that_are_allowed(text: str) -> None:
    with pytest.raises(SettingsError, match=r"scgi:///path/to/rtorrent\.sock .* scgi://host:port"):
        parse_url(text)


def test_a_path_that_the_kernel_does_not_accept_is_refused_with_its_length() -> None:
    longest = "/" + "x" * 106
    assert parse_url(f"scgi://{longest}") == UnixAddress(longest)
    with pytest.raises(SettingsError, match="the path has 108 bytes, the kernel accepts at most 107"):
        parse_url(f"scgi://{longest}x")


def test_the_length_of_a_path_is_counted_in_bytes() -> None:
    with pytest.raises(SettingsError, match="the path has 121 bytes"):
        parse_url("scgi:///" + "ü" * 60)


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\\x00"):
        parse_url("scgi:///run/a\0b")


def test_addresses_are_shown_as_they_are_written_and_cannot_break_a_line() -> None:
    assert str(parse_url("scgi+unix:///run/rpc.socket")) == "scgi:///run/rpc.socket"
    assert str(parse_url("scgi://[::1]:5000")) == "scgi://[::1]:5000"
    assert str(parse_url("scgi://localhost:5000")) == "scgi://localhost:5000"
    assert str(UnixAddress("/run/a\nb")) == "scgi:///run/a\\nb"
