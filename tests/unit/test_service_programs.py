"""Each service is one program of supervisord, under its own name."""

import os
from pathlib import Path

import pytest

from pyrotorque.errors import AlreadyRunning
from pyrotorque.layout import Layout
from pyrotorque.service.own_name import require_own_name
from pyrotorque.supervisord.service_programs import SupervisedProgram, check_programs, service_of

HOME = "/home/me/.pyroscope"


@pytest.mark.parametrize(
    ("command", "service"),
    [
        (f"/usr/bin/python3 -P -X utf8 -m pyrotorque_watcher --config-dir {HOME}", "watcher"),
        (f"nice -n 5 python -m pyrotorque_watcher --config-dir={HOME}/", "watcher"),
        (f"sh -c 'exec python -m pyrotorque_fleet --config-dir \"{HOME}\"'", "fleet"),
        (f"python -mpyrotorque_panel --config-dir '{HOME}'", "panel"),
        ("python -m pyrotorque_scheduler", "scheduler"),
        (f"python -m pyrotorque_scheduler --config-dir {HOME}2", ""),
        ("python -m pyrotorque_scheduler --config-dir /other", ""),
        (f"python -m mine_pyrotorque_scheduler --config-dir {HOME}", ""),
        (f"pyrotorque --config-dir {HOME} status", ""),
        ("sleep 5", ""),
    ],
)
def test_a_command_runs_a_service_of_this_group_only(command: str, service: str) -> None:
    assert service_of(command, HOME) == service


def _program(name: str, service: str = "", group: str = "", *, autostart: bool = True) -> SupervisedProgram:
    command = f"python -m pyrotorque_{service or name} --config-dir {HOME}"
    return SupervisedProgram(f"program:{group or name}", group or name, name, command, autostart)


def test_services_in_a_group_of_the_owner_are_no_fault() -> None:
    faults = check_programs([_program("watcher", group="mine")], ["mine"], ["watcher"], HOME)
    assert (faults.problems, faults.failing, faults.warnings) == ([], [], [])


def test_a_copy_is_named_by_its_section_and_the_service_is_not() -> None:
    faults = check_programs(
        [_program("a", "watcher"), _program("watcher"), _program("b", "watcher")],
        ["a", "b", "watcher"],
        ["watcher"],
        HOME,
    )
    assert [section for section, _ in faults.failing] == ["program:a", "program:b"]
    assert faults.problems == []


def test_a_missing_service_is_a_problem_of_the_include() -> None:
    faults = check_programs([_program("mine", "x")], ["mine"], ["watcher"], HOME)
    assert [section for section, _ in faults.problems] == ["include"]


def test_two_groups_with_one_name_are_a_fault() -> None:
    faults = check_programs([_program("watcher")], ["watcher", "watcher"], ["watcher"], HOME)
    assert [section for section, _ in faults.failing] == ["group:watcher"]


def test_a_service_refuses_another_name_below_its_own_supervisord_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.below(tmp_path)
    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        monkeypatch.delenv(name)
    require_own_name("watcher", layout)
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "second")
    require_own_name("watcher", layout)
    monkeypatch.setenv("SUPERVISOR_SERVER_URL", "unix:///run/supervisor.sock")
    require_own_name("watcher", layout)
    monkeypatch.setenv("SUPERVISOR_SERVER_URL", f"unix://{layout.supervisor_socket}")
    with pytest.raises(AlreadyRunning, match="a second time, as the program second"):
        require_own_name("watcher", layout)
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "watcher")
    require_own_name("watcher", layout)
