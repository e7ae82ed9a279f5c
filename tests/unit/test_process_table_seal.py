"""A process table that was emptied, cut off or edited is recognised, and written again."""

from pathlib import Path

import msgspec
import pytest

from pyrotorque.guard_file import GuardState
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.options import Options, read_options, write_options
from pyrotorque.supervisord import config
from pyrotorque.supervisord.seal import damage
from pyrotorque_guardian.run_files import CONFIRM_AFTER, RunFiles


@pytest.fixture
def table(layout: Layout) -> Path:
    write_options(layout, Options(dry_run=True))
    config.write_programs(layout, Options(), guard_files=(), optional=("panel",))
    layout.supervisor_socket.touch()
    layout.pid_file.touch()
    return config.programs_file(layout)


def test_every_part_of_a_table_is_no_table(table: Path) -> None:
    whole = table.read_text()
    assert damage(whole) == ""
    assert damage("") == damage("\n") == damage("\0" * 512) == "is empty"
    for size in range(1, len(whole), 97):
        assert damage(whole[:size]), size
    assert damage(whole[:-1])
    assert damage(whole.replace("autorestart = true", "autorestart = false"))
    assert damage(whole[:-200] + "\0" * 200)


def test_one_of_an_earlier_version_has_no_seal(table: Path) -> None:
    earlier = table.read_text().partition("\n")[2]
    assert damage(earlier) == ""
    assert damage(earlier[: len(earlier) // 2])
    assert damage(earlier[:-1])


def found(files: RunFiles) -> GuardState:
    files.state(0.0)
    return files.state(CONFIRM_AFTER)


@pytest.mark.parametrize("kept", [0, 500])
def test_the_guardian_writes_a_damaged_file_again(layout: Layout, table: Path, kept: int) -> None:
    files = RunFiles.of(layout, (), 1)
    assert found(files) is GuardState.KEPT
    for path in (table, layout.options_file, layout.earlier_options_file):
        whole = path.read_bytes()
        path.write_bytes(whole[: min(kept, len(whole) - 1)])
        assert found(files) is GuardState.SWEPT
        files.restore()
        assert path.read_bytes() == whole
        assert found(files) is GuardState.KEPT


def test_what_a_restart_has_written_stays(layout: Layout, table: Path) -> None:
    files = RunFiles.of(layout, (), 1)
    config.write_programs(layout, Options(log_level="WARNING"), guard_files=())
    layout.options_file.write_bytes(msgspec.json.encode(Options(log_level="WARNING")))
    assert found(files) is GuardState.KEPT
    before = table.read_bytes()
    files.restore()
    assert table.read_bytes() == before


def test_a_guardian_that_starts_after_the_damage_writes_what_it_can_know(layout: Layout, table: Path) -> None:
    table.write_text("[program:scheduler]\n")
    layout.options_file.write_bytes(b"")
    files = RunFiles.of(layout, (), 1)
    assert config.started_services(layout) == SERVICES, "there is no stored configuration here"
    files.restore()
    assert damage(table.read_text()) == ""
    assert read_options(layout).dry_run
