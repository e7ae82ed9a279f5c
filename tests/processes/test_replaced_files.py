"""A file that is mounted alone into a container, and replaced outside, as editors do, is not used silently."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import Group
from tests.processes.mount_namespaces import made_mount_namespace

pytestmark = pytest.mark.process

WARNING = "is the file of before a change: it is mounted alone, and was replaced outside"
INI = "[TORQUE]\nscgi_url = scgi:///nonexistent/socket\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="prf-") as made:
        yield Path(made)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("torque.ini", INI),
        ("config.ini", "[TORQUE]\n"),
        ("config.py", "# nothing\n"),
        ("supervisor.conf", "[include]\nfiles = run/programs.conf\n"),
    ],
)
def test_a_replaced_file_is_named_by_check(folder: Path, name: str, text: str) -> None:
    host, config = folder / name, folder / "config"
    config.mkdir()
    for path in (host, config / name):
        path.write_text(text)
    with made_mount_namespace(f"mount --bind {host} {config / name}") as namespace:
        group = Group(config, INI, within=namespace.words)
        assert WARNING not in group.command("check").stderr
        host.write_text(text + "\n")  # in place: the container sees it
        assert WARNING not in group.command("check").stderr
        (folder / "new").write_text(text)
        (folder / "new").rename(host)
        checked = group.command("check")
        assert f"warning: {name}: {WARNING}" in checked.stderr, checked.stderr
