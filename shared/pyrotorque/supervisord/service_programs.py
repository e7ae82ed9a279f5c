"""Checks that supervisord runs each service of the group once, under its own name; nothing here reads files.

The owner's supervisor.conf is merged with the process table: it can add a second copy of a service, rename one,
multiply it (`numprocs`), or replace its command.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_SERVICE: Final = re.compile(r"\s-m\s*pyrotorque_(\w+)\b")
_CONFIG_DIR: Final = re.compile(r"""--config-dir(?:=|\s+)("[^"]*"|'[^']*'|\S+)""")


class SupervisedProgram(NamedTuple):
    """One process of supervisord's configuration; `section` is where it is defined."""

    section: str
    group: str
    name: str
    command: str
    autostart: bool = True


@dataclass
class ProgramFaults:
    """Pairs of a section and a text. A group starts with `failing` ones as well; what they describe fails then."""

    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    failing: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    warnings: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def service_of(command: str, config_dir: str) -> str:
    """The service of the group in `config_dir` that the command runs; empty for one of another group, or none."""
    found = _SERVICE.search(command)
    if found is None:
        return ""
    folder = _CONFIG_DIR.search(command)
    if folder is not None:
        path = os.path.expanduser(folder[1].strip("\"'"))
        if os.path.realpath(path) != os.path.realpath(config_dir):
            return ""
    return found[1]


def check_programs(
    programs: Sequence[SupervisedProgram], groups: Sequence[str], services: Collection[str], config_dir: str
) -> ProgramFaults:
    """What is wrong with the programs of the services of the group in `config_dir`; `groups` are supervisord's."""
    faults = ProgramFaults()
    runs = [(program, service_of(program.command, config_dir)) for program in programs]
    for service in services:
        copies = [program for program, run in runs if run == service]
        if own := next((program for program in copies if program.name == service), None):
            copies.remove(own)
            if not own.autostart:
                text = f"[{own.section}] has autostart = false, so the service {service} does not run: remove it"
                faults.failing.append((own.section, text))
            faults.failing.extend((each.section, _second_copy(each, service)) for each in copies)
        elif copies:
            faults.problems.append((copies[0].section, _renamed(copies, service)))
        elif replaced := next((each for each in programs if each.name == each.group == service), None):
            text = f"[{replaced.section}] has another command, which must run pyrotorque_{service} in the end"
            faults.warnings.append((replaced.section, text))
        else:
            text = f"the program {service} is missing: [include] must read run/programs.conf"
            faults.problems.append(("include", text))
    for program, run in runs:
        if program.name in services and program.group != program.name and not run:
            text = f"[{program.section}] has the process_name {program.name}, the name of a service: choose another one"
            faults.failing.append((program.section, text))
    # Programs, groups and event listeners share their names.
    for group, number in Counter(groups).items():
        if number > 1:
            text = f"{number} groups or programs have the name {group}, and supervisord keeps only one: rename them"
            faults.failing.append((f"group:{group}", text))
    return faults


def _second_copy(program: SupervisedProgram, service: str) -> str:
    return (
        f"[{program.section}] runs the service {service} a second time, and ends at once: remove it, run/programs.conf "
        "has that service"
    )


def _renamed(copies: Sequence[SupervisedProgram], service: str) -> str:
    names = ", ".join(program.name for program in copies)
    return (
        f"[{copies[0].section}] runs the service {service} under another name ({names}): remove process_name/numprocs"
    )
