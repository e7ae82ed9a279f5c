"""`python -m pyrotorque.supervisord.trial`: reads the files as supervisord would, and starts nothing.

The question is JSON on standard input (see `pyrotorque.supervisord.validation`), the answer JSON on standard output. It
contains the process table and the folders that a start creates, so that nothing needs to be written for the check.
"""

import glob
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from typing import Any, Final

from pyrotorque.foreign_errors import summary
from pyrotorque.linux.files import read_text_file
from pyrotorque.supervisord.owner_commands import why_not_run
from pyrotorque.supervisord.service_programs import SupervisedProgram, check_programs
from pyrotorque.supervisord.trial_start import StartTrial

_SECTION: Final = re.compile(r"\[([^\]]+)\]")
_REPEATED: Final = ("program:", "eventlistener:", "group:", "fcgi-program:")

Place = tuple[str, int]
Found = tuple[str, int, str]


class ConfTrial:
    """One reading of the files: `problems` would end supervisord, with `failing` a program fails, `warnings` may be
    intended.
    """

    def __init__(
        self,
        conf: str,
        programs: str,
        table: str,
        services: Sequence[str],
        folders: Sequence[str],
        supervisord: int,
        socket: str = "",
    ) -> None:
        self._socket = socket
        self._services = services
        self._conf, self._programs, self._table, self._supervisord = conf, programs, table, supervisord
        self._folders = frozenset(map(os.path.normpath, folders))
        self.problems: list[Found] = []
        self.failing: list[Found] = []
        self.warnings: list[Found] = []
        self.directory = ""
        self._files = [conf]

    def run(self) -> None:
        """Read and check everything."""
        if reason := _no_temporary_folder():
            self.problems.append(("", 0, reason))
            return
        options = self._read()
        self._files += [each for each in self._included(options) if each not in (self._conf, self._programs)]
        if options is not None:
            self._check_programs(options)
            self._check_user(options)
            self.directory = str(options.directory or "")
        self._check_sections()
        if options is not None and not self.problems:
            self._check_start(options)

    def _read(self) -> Any:
        """The options, or None with a problem."""
        from supervisor import options as module

        trial = self

        class TrialParser(module.UnhosedConfigParser):  # type: ignore[misc]
            def read(self, filenames: Any, *rest: Any, **more: Any) -> Any:
                if filenames == trial._programs:
                    self.read_file(io.StringIO(trial._table), filenames)
                    return [filenames]
                if isinstance(filenames, str):
                    read_text_file(filenames)  # a pipe would be waited for
                return super().read(filenames, *rest, **more)

        class TrialOptions(module.ServerOptions):  # type: ignore[misc]
            def usage(self, text: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                raise ValueError(str(text))

            def exists(self, path: str) -> bool:
                return path == trial._programs or bool(super().exists(path))

            def open(self, path: str, mode: str = "r") -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                if path == trial._programs:
                    return io.StringIO(trial._table)
                read_text_file(path)
                return super().open(path, mode)

        is_folder = os.path.isdir

        def exists_at_start(path: Any) -> bool:
            return self._is_made(path) or is_folder(path)

        os.path.isdir = exists_at_start  # type: ignore[assignment]
        module.UnhosedConfigParser = TrialParser
        module.glob = _Glob(self._programs)
        options = TrialOptions()
        try:
            options.realize(["-c", self._conf])
        except Exception as error:
            self._refuse(error)
            self._partial = options
            return None
        finally:
            os.path.isdir = is_folder
        self._check_includes(options)
        return options

    def _included(self, options: Any) -> Iterator[str]:
        found = options if options is not None else self._partial
        for text in found.parse_infos:
            yield from re.findall(r'Included extra file "(.*)" during parsing', text)

    def _refuse(self, error: BaseException) -> None:
        text = "; ".join(part.strip() for part in str(error).splitlines() if part.strip())
        if "codec can't decode" in text:
            text = f"it is not in UTF-8: {text}"
        file, line = self._place(text)
        self.problems.append((file, line, f"supervisord refuses this: {text or type(error).__name__}"))

    def _check_includes(self, options: Any) -> None:
        for text in options.parse_warnings:
            pattern = "".join(re.findall(r'"(.*)"', text))
            file, line = self._place("include")
            if glob.has_magic(pattern):
                self.warnings.append((file, line, f"[include] files: nothing matches {pattern}"))
            else:
                self.problems.append((file, line, f"[include] files: there is no {pattern}"))

    def _check_programs(self, options: Any) -> None:
        sections = {name for name, _ in self._sections()}
        programs = [
            SupervisedProgram(
                _section_of(process.name, group.name, sections),
                group.name,
                process.name,
                process.command,
                bool(process.autostart),
            )
            for group in options.process_group_configs
            for process in group.process_configs
        ]
        groups = [group.name for group in options.process_group_configs]
        faults = check_programs(programs, groups, self._services, os.path.dirname(os.path.dirname(self._programs)))
        for found, into in (
            (faults.problems, self.problems),
            (faults.failing, self.failing),
            (faults.warnings, self.warnings),
        ):
            into.extend((*self._place(section), text) for section, text in found)
        self._check_commands(options, sections)

    def _check_commands(self, options: Any, sections: Collection[str]) -> None:
        """A program may be on a disk that is mounted later: a group starts without it."""
        for group in options.process_group_configs:
            for process in group.process_configs:
                if group.name not in self._services and (reason := why_not_run(process)):
                    section = _section_of(process.name, group.name, sections)
                    self.warnings.append((*self._place(section), f"[{section}] command cannot be run now: {reason}"))

    def _check_start(self, options: Any) -> None:
        trial = StartTrial(options, self._supervisord, self._socket, self._is_made)
        trial.calls_plugins = not self._is_of_another_user()
        # What our own table says fails by the machine: its folders and limits have checks and exit codes of theirs.
        of_owner = {name for name, _ in self._sections()} if self._conf != self._programs else set[str]()
        for section, text in trial.faults():
            if section in of_owner:
                self.problems.append((*self._place(section), text))

    def _is_of_another_user(self) -> bool:
        """Whether root checks a file of another user, who chooses what is called."""
        if os.geteuid() != 0:
            return False
        with suppress(OSError):
            return any(os.stat(path).st_uid != 0 for path in self._files)
        return True

    def _is_made(self, folder: str) -> bool:
        return os.path.normpath(folder) in self._folders

    def _check_user(self, options: Any) -> None:
        uid = getattr(options, "uid", None)
        if options.user is not None and os.geteuid() not in (0, uid):
            text = f"[supervisord] user = {options.user}: only root can start programs as another user"
            self.problems.append((*self._place("supervisord"), text))

    def _check_sections(self) -> None:
        """supervisord merges sections of the same name without a message: one of two programs is lost."""
        for place, text in self._lines():
            if text.startswith("[") and not _SECTION.match(text):
                self.warnings.append((*place, f"{text.strip()!r} begins like a section and is none: `]` is missing"))
        known: dict[str, Place] = {}
        for name, place in self._sections():
            if name in known and name.startswith(_REPEATED):
                file, line = known[name]
                text = f"[{name}] is also in {file}:{line}: supervisord makes one program of both"
                self.warnings.append((*place, text))
            known.setdefault(name, place)

    def _sections(self) -> Iterator[tuple[str, Place]]:
        for place, text in self._lines():
            if header := _SECTION.match(text):
                yield header[1], place

    def _lines(self) -> Iterator[tuple[Place, str]]:
        for path in self._files:
            try:
                lines = read_text_file(path).decode("utf-8", "replace").splitlines()
            except OSError:
                continue
            for number, line in enumerate(lines, 1):
                yield (os.path.basename(path), number), line

    def _place(self, text: str) -> Place:
        """Where the section that the text names begins; else the file."""
        for name, place in self._sections():
            if re.search(rf"(?<![\w:-]){re.escape(name)}(?![\w:-])", text):
                return place
        return os.path.basename(self._conf), 0


class _Glob:
    """The module `glob` for supervisord, in which the process table exists."""

    def __init__(self, programs: str) -> None:
        self._programs = programs

    def glob(self, pattern: str) -> list[str]:
        found = glob.glob(pattern)
        if self._programs not in found and fnmatch(os.path.normpath(self._programs), os.path.normpath(pattern)):
            found.append(self._programs)
        return [
            self._programs if os.path.normpath(each) == os.path.normpath(self._programs) else each for each in found
        ]


def _section_of(process: str, group: str, sections: Collection[str]) -> str:
    """The section that defines a process: `group` is the program's name, unless it is a member of a [group:x]."""
    names = (f"{kind}:{name}" for name in (process, group) for kind in ("program", "eventlistener", "fcgi-program"))
    return next((name for name in names if name in sections), f"program:{group}")


def _no_temporary_folder() -> str:
    """Why supervisord cannot start: it needs a folder that takes a temporary file. Empty if there is one."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        folder = os.environ.get("TMPDIR") or "/tmp"
        return (
            f"supervisord cannot start: no folder takes a temporary file ({folder}: {_refusal_of(folder)}); make that "
            "possible there, or set TMPDIR to a folder that does"
        )
    return ""


def _refusal_of(folder: str) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b".")
    except OSError as error:
        error.filename = None  # a name made up for this test
        return summary(error)
    return "it is possible now"


def main() -> None:
    """Answer the question."""
    trial = ConfTrial(**json.loads(sys.stdin.read()))
    trial.run()
    answer = {
        "problems": trial.problems,
        "failing": trial.failing,
        "warnings": trial.warnings,
        "directory": trial.directory,
    }
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # a plugin may have started threads


if __name__ == "__main__":
    main()
