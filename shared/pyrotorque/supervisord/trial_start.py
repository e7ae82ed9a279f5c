"""What supervisord does after it has read its files, tried in a process of its own: what fails there would end it.

Nothing of the running group is touched: sockets get another name, and ports that its supervisord has count as free.
"""

import errno
import os
import resource
import socket
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final

from pyrotorque.foreign_errors import summary
from pyrotorque.process_limits import DEFAULTS, lowered_minima

_LISTEN: Final = "0A"  # TCP_LISTEN in /proc/net/tcp
_PATH_MAX: Final = 107  # bytes of a unix socket's path

Fault = tuple[str, str]
"""A section, and why supervisord would end because of it."""


class StartTrial:
    """One start with the `options` that were read; `folders` exist by then."""

    def __init__(self, options: Any, supervisord: int, control_socket: str, is_made: Callable[[str], bool]) -> None:
        self._options, self._supervisord, self._socket = options, supervisord, control_socket
        self._own_ports = _listening_ports(supervisord) if supervisord else set[int]()
        """It closes them before it opens them again."""
        self._is_made = is_made
        """Whether a start creates this folder."""
        self.calls_plugins = True

    def faults(self) -> Iterator[Fault]:
        """In supervisord's order; it becomes the user that the files name, as root."""
        yield from self._refused("supervisord", self._options.set_uid_or_exit)
        for name, lowered in lowered_minima(self._supervisord).items():
            if getattr(self._options, name) == DEFAULTS[name]:
                setattr(self._options, name, lowered)
        if not self._limits_suffice():
            yield from self._refused("supervisord", self._options.set_rlimits_or_exit)
        yield from self._log_faults()
        yield from self._socket_faults()
        with ExitStack() as probes:
            yield from self._server_faults(probes)
        if self.calls_plugins:
            yield from self._plugin_faults()

    def _refused(self, section: str, step: Callable[[], None]) -> Iterator[Fault]:
        try:
            step()
        except ValueError as error:  # of `usage`
            yield section, f"supervisord refuses this: {error}"

    def _limits_suffice(self) -> bool:
        """The running supervisord has raised its limits; those of this process may be lower."""
        if not self._supervisord:
            return False
        wanted = {resource.RLIMIT_NOFILE: self._options.minfds, resource.RLIMIT_NPROC: self._options.minprocs}
        try:
            limits = {name: resource.prlimit(self._supervisord, name)[0] for name in wanted}
        except OSError:
            return False
        return all(soft == resource.RLIM_INFINITY or soft >= wanted[name] for name, soft in limits.items())

    def _log_faults(self) -> Iterator[Fault]:
        options = self._options
        if why := self._cannot_append(str(options.logfile)):
            yield "supervisord", f"[supervisord] logfile = {options.logfile} cannot be written: {why}"
        if why := self._cannot_create_in(str(options.childlogdir)):
            yield "supervisord", f"[supervisord] childlogdir = {options.childlogdir} takes no files: {why}"
        if options.directory and not os.access(options.directory, os.X_OK):
            yield "supervisord", f"[supervisord] directory = {options.directory}: {os.strerror(errno.EACCES)}"

    def _cannot_append(self, path: str) -> str:
        if path == "syslog":
            return ""
        path = os.path.join(self._options.directory or "/", path)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            return self._cannot_create_in(os.path.dirname(path))
        except OSError as error:
            return "" if error.errno == errno.ENXIO else _why(error)  # a pipe without a reader yet
        return ""

    def _cannot_create_in(self, folder: str) -> str:
        if self._is_made(folder) and not os.path.isdir(folder):
            return ""
        if not os.path.isdir(folder):
            return os.strerror(errno.ENOENT)
        if os.access(folder, os.W_OK | os.X_OK):
            return ""
        return os.strerror(errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES)

    def _socket_faults(self) -> Iterator[Fault]:
        """supervisord opens the sockets of FastCGI programs once when it starts."""
        for group in self._options.process_group_configs:
            config = getattr(group, "socket_config", None)
            if config is None:
                continue
            backlog = config.get_backlog() or socket.SOMAXCONN
            try:
                if config.url.startswith("tcp:"):
                    host, port = config.addr()
                    self._listen(host, port, backlog).close()
                else:
                    self._try_unix_socket(config.addr(), backlog, config.get_owner(), config.get_mode())
            except (OSError, OverflowError, ValueError) as error:
                section = f"fcgi-program:{group.name}"
                yield section, f"[{section}] socket = {config.url} cannot be opened: {_why(error)}"

    def _server_faults(self, probes: ExitStack) -> Iterator[Fault]:
        known = set[tuple[str, int]]()
        for server in self._options.server_configs:
            if server["family"] is socket.AF_UNIX:
                yield from self._control_faults(server)
                continue
            section, address = server["section"], (server["host"], server["port"])
            try:
                if address in known:
                    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
                known.add(address)
                probes.enter_context(self._listen(*address, socket.SOMAXCONN))
            except (OSError, OverflowError) as error:
                yield section, f"[{section}] cannot listen at {address[0] or '*'}:{address[1]}: {_why(error)}"

    def _control_faults(self, server: Any) -> Iterator[Fault]:
        section = server["section"]
        if server["username"]:
            yield section, f"[{section}] must not set a username: pyrotorque could not control supervisord"
        if self._socket and os.path.realpath(server["file"]) != os.path.realpath(self._socket):
            yield section, f"[{section}] file must be {self._socket}: pyrotorque could not control supervisord"
        try:
            self._try_unix_socket(server["file"], 1, server["chown"], server["chmod"])
        except (OSError, OverflowError, ValueError) as error:
            yield section, f"[{section}] file = {server['file']} cannot be opened: {_why(error)}"

    def _listen(self, host: str, port: int, backlog: int) -> socket.socket:
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(backlog)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port not in self._own_ports:
                probe.close()
                raise
        return probe

    def _try_unix_socket(self, path: str, backlog: int, owner: tuple[int, int] | None, mode: int | None) -> None:
        """Open one beside it, because supervisord would replace what has its name."""
        folder = os.path.dirname(path) or "/"
        if len(os.fsencode(path)) > _PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, f"the path of a socket has at most {_PATH_MAX} bytes")
        if self._is_made(folder) and not os.path.isdir(folder):
            return
        _require_replaceable(path)
        with _probe_in(folder) as (probe, name):
            probe.listen(backlog)
            if owner is not None:
                os.chown(name, *owner)
            if mode is not None:
                os.chmod(name, mode)

    def _plugin_faults(self) -> Iterator[Fault]:
        """Whatever a plugin prints goes to the standard error: the standard output has the answer."""
        from supervisor import loggers
        from supervisor.supervisord import Supervisor

        self._options.logger = loggers.getLogger()
        supervisord: Any = Supervisor(self._options)
        with redirect_stdout(sys.stderr):
            for group in self._options.process_group_configs:
                if not hasattr(group, "socket_config"):
                    supervisord.process_groups[group.name] = group.make_group()
            for name, factory, settings in self._options.rpcinterface_factories:
                try:
                    factory(supervisord, **settings)
                except (Exception, SystemExit) as error:
                    if self._supervisord and isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                        continue  # the same plugin of the running supervisord may have the port
                    section = f"rpcinterface:{name}"
                    yield section, f"[{section}] cannot be created: {type(error).__name__}: {_why(error)}"


@contextmanager
def _probe_in(folder: str) -> Generator[tuple[socket.socket, str]]:
    """A bound socket in the folder, and its path, which is short however long that of the folder is."""
    before, name = os.open(".", os.O_PATH | os.O_CLOEXEC), f".probe.{os.getpid()}"
    try:
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.bind(name)
            yield probe, name
    finally:
        with suppress(OSError):
            os.unlink(name)
        os.fchdir(before)
        os.close(before)


def _require_replaceable(path: str) -> None:
    """supervisord removes what has the name of a socket. Raises OSError when it cannot."""
    try:
        found, folder = os.lstat(path), os.stat(os.path.dirname(path) or "/")
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, found.st_uid, folder.st_uid):
        raise PermissionError(errno.EPERM, f"it belongs to user {found.st_uid}")


def _listening_ports(pid: int) -> set[int]:
    """The TCP ports at which this process listens."""
    ports: dict[str, int] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTEN:
            ports[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    found = set[int]()
    with suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(ports.get(os.readlink(fd), 0))
    return found - {0}


def _why(error: BaseException) -> str:
    if isinstance(error, OSError):
        error.filename = error.filename2 = None  # a name made up for this test
        return error.strerror or summary(error)
    return str(error) or type(error).__name__
