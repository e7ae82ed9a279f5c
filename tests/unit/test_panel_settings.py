"""The settings of the panel: values, defaults, and errors with their place."""

from pathlib import Path

import pytest

from tests.configured import configured, problems

# Each wrong value, and what its error says.
WRONG = {
    "panel.port = 70000": "expected a port",
    "panel.address = 300.1.1.1": "neither an IP address nor a host name",
    "panel.socket_mode = 999": "octal mode",
    "panel.base_path = torque": "expected a path",
    "panel.base_path = /a b": "expected a path",
    "panel.trusted_proxies = proxy.example": "expected addresses of proxies",
    "panel.auth_header = Remote-User": "panel.socket or panel.trusted_proxies only",
    "panel.name = a/b": "expected letters",
    "panel.actions_on = True": "did you mean panel.actions?",
    "panel.active = maybe": "expected True or False",
    "panel.groups = here, ~/there": "expected an absolute path",
    "panel.active = True\npanel.port = 0": "nothing could reach the panel",
}


def test_the_defaults_start_nothing(tmp_path: Path) -> None:
    panel = configured(tmp_path, "[TORQUE]\n").settings.panel
    assert not panel.active
    assert (panel.address, panel.port, panel.base_path) == ("127.0.0.1", 9180, "/")


def test_values_are_read(tmp_path: Path) -> None:
    text = "[TORQUE]\npanel.active = yes\npanel.port = 9000\npanel.socket = /run/p.sock\npanel.socket_mode = 0600\n"
    text += (
        "panel.hosts = a.example, b.example\npanel.trusted_proxies = ::1 ::ffff:192.0.2.1\n"
        "panel.auth_header = Remote-User\n"
    )
    panel = configured(tmp_path, text).settings.panel
    assert (panel.active, panel.port, panel.socket, panel.socket_mode) == (True, 9000, Path("/run/p.sock"), 0o600)
    assert (panel.hosts, panel.trusted_proxies) == (("a.example", "b.example"), ("::1", "192.0.2.1"))


@pytest.mark.parametrize("text", WRONG)
def test_wrong_values_are_errors(tmp_path: Path, text: str) -> None:
    (found,) = problems(tmp_path, f"[TORQUE]\n{text}\n")
    assert WRONG[text] in found


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ("panel.trusted_proxies = 127.0.0.1", True),
        ("panel.trusted_proxies = 192.0.2.1 ::1", True),
        ("panel.trusted_proxies = 192.0.2.1", False),
        ("panel.socket_mode = 0666", True),
        ("panel.socket_mode = 0660", False),
    ],
)
def test_a_header_that_every_local_user_can_send_is_a_warning(tmp_path: Path, line: str, warned: bool) -> None:
    socket = f"[TORQUE]\npanel.active = yes\npanel.socket = /run/p.sock\n{line}\n"
    assert configured(tmp_path, socket).warnings == ()
    found = configured(tmp_path, f"{socket}panel.auth_header = Remote-User\n").warnings
    assert ["every user of this machine" in str(each) for each in found] == [True] * warned


@pytest.mark.parametrize("name", ["page_names", "page_hosts"])
def test_a_setting_of_the_former_page_of_the_exporter_is_a_warning(tmp_path: Path, name: str) -> None:
    """The exporter has lost its page: a group of version 1.0.0 still starts."""
    text = f"[TORQUE]\njob.exporter.active = True\njob.exporter.{name} = True\n"
    (warning,) = configured(tmp_path, text).warnings
    assert f"job.exporter.{name}: is ignored: the exporter has no status page any more; the panel" in str(warning)
