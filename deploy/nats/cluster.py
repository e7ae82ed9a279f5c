"""Writes the configuration of the NATS servers of a fleet: TLS, and a user with least permissions for each group.

    python3 cluster.py servers FOLDER nats1.example.org nats2.example.org nats3.example.org
    python3 cluster.py group FOLDER box1 >>torque.ini
    python3 cluster.py remove FOLDER box1
    python3 cluster.py operator FOLDER

FOLDER has one folder for each server, to be copied to /etc/nats there, and the credentials of groups, to be copied to
their hosts. A server reads its users again with `nats-server --signal reload`. Needs Python 3.11 and openssl.
docs/fleet.md shows how to use it.
"""

import argparse
import ipaddress
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DAYS: Final = "3650"
CLIENT_PORT: Final = 4222
ROUTE_PORT: Final = 6222
MONITOR_PORT: Final = 8222
OPERATOR: Final = "operator"
REALM: Final = "pyrotorque"
_GROUP: Final = re.compile(r"[a-z0-9-]{1,63}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Server:
    """`HOST`, or `HOST:PORT:ROUTE_PORT:MONITOR_PORT` for several on one host."""

    host: str
    port: int = CLIENT_PORT
    route_port: int = ROUTE_PORT
    monitor_port: int = MONITOR_PORT

    @property
    def name(self) -> str:
        return self.host if self.port == CLIENT_PORT else f"{self.host}-{self.port}"


@dataclass(frozen=True)
class Choices:
    """Where the files are on the servers, and what their version has."""

    conf_dir: str = ""
    store_dir: str = "/var/lib/nats"
    max_file: str = "8GB"
    is_old: bool = False


# --- permissions


def streams(realm: str) -> tuple[str, ...]:
    """The streams of a fleet; a bucket is one, too."""
    return (f"KV_{realm}_groups", f"KV_{realm}_claims", f"{realm.upper()}_METAFILES", f"{realm.upper()}_EVENTS")


def publish(realm: str, group: str, *, create: bool = True) -> list[str]:
    """What the user of a group may publish to; `create`: also create the streams of the fleet that are missing."""
    allowed = [
        f"$KV.{realm}_groups.{group}",
        f"$KV.{realm}_claims.*",
        f"{realm}.metafile.*.*.*",
        f"{realm}.events.{group}.*",
        f"{realm}.ask.*",
        "$JS.API.INFO",
    ]
    for stream in streams(realm):
        allowed += [
            f"$JS.API.STREAM.INFO.{stream}",
            f"$JS.API.STREAM.MSG.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}.>",
        ]
        if create:
            allowed.append(f"$JS.API.STREAM.CREATE.{stream}")
        if not stream.endswith("_METAFILES"):
            allowed += [
                f"$JS.API.CONSUMER.CREATE.{stream}",
                f"$JS.API.CONSUMER.CREATE.{stream}.>",
                f"$JS.API.CONSUMER.INFO.{stream}.*",
                f"$JS.API.CONSUMER.DELETE.{stream}.*",
                f"$JS.FC.{stream}.>",
            ]
        if stream.startswith("KV_"):
            allowed.append(f"$JS.ACK.{stream}.>")
    return allowed


def subscribe(realm: str, group: str) -> list[str]:
    """What the user of a group may subscribe to."""
    return [f"_INBOX_{group}.>", f"{realm}.ask.all", f"{realm}.ask.{group}"]


# --- files


def private(path: Path, text: str) -> None:
    """Replace the file by one that only its owner reads."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


class Fleet:
    """The folder: `fleet.json` has the servers and users, everything else follows from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "fleet.json"
        self.data: dict[str, Any] = {"servers": [], "choices": {}, "accounts": {}}
        if self._file.exists():
            self.data = json.loads(self._file.read_text(encoding="utf-8"))

    @property
    def servers(self) -> list[Server]:
        return [Server(**each) for each in self.data["servers"]]

    @property
    def choices(self) -> Choices:
        return Choices(**self.data["choices"])

    def account(self, name: str) -> dict[str, Any]:
        """Its users; each owner of groups has one."""
        found: dict[str, Any] = self.data["accounts"].setdefault(name, {"users": {}})
        return found

    def save(self) -> None:
        """Write everything again."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private(self._file, json.dumps(self.data, indent=1) + "\n")
        self._authority()
        users = "".join(f"{line}\n" for line in self._users())
        for server in self.servers:
            folder = self.folder / server.name
            folder.mkdir(mode=0o700, exist_ok=True)
            self._certificate(server)
            (folder / "ca.pem").write_bytes((self.folder / "ca.pem").read_bytes())
            private(folder / "users.conf", users)
            private(folder / "nats-server.conf", "".join(f"{line}\n" for line in self._conf(server)))

    # -- TLS

    def _openssl(self, *words: str | Path) -> None:
        ended = subprocess.run(
            ["openssl", *map(str, words)], cwd=self.folder, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise SystemExit(f"cluster.py: openssl {words[0]} failed: {ended.stderr.strip()}")

    def _key(self, path: Path) -> None:
        private(path, "")
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)

    def _authority(self) -> None:
        if (self.folder / "ca.pem").exists():
            return
        self._key(self.folder / "ca.key")
        self._openssl(
            *("req", "-x509", "-new", "-key", "ca.key", "-sha256", "-days", DAYS, "-subj", "/CN=fleet of pyrotorque"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-out", "ca.pem"),
        )

    def _certificate(self, server: Server) -> None:
        folder = self.folder / server.name
        if (folder / "server.pem").exists():
            return
        self._key(folder / "server.key")
        self._openssl("req", "-new", "-key", folder / "server.key", "-subj", "/CN=nats", "-out", folder / "server.csr")
        (folder / "server.ext").write_text(
            f"subjectAltName={'IP' if _is_address(server.host) else 'DNS'}:{server.host}\n"
            "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        self._openssl(
            *("x509", "-req", "-in", folder / "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-sha256"),
            *("-set_serial", str(secrets.randbits(64)), "-days", DAYS, "-extfile", folder / "server.ext"),
            *("-out", folder / "server.pem"),
        )
        (folder / "server.csr").unlink()
        (folder / "server.ext").unlink()

    # -- configuration

    def _conf(self, server: Server) -> Iterator[str]:
        choices = self.choices
        place = choices.conf_dir or str((self.folder / server.name).resolve())
        store = choices.store_dir if server.port == CLIENT_PORT else f"{choices.store_dir}/{server.name}"
        yield "# Written by cluster.py; the users are in users.conf."
        yield f"server_name: {_quoted(server.name)}"
        yield f"port: {server.port}"
        yield f'http: "127.0.0.1:{server.monitor_port}"'
        if not choices.conf_dir:
            yield f"pid_file: {_quoted(f'{place}/nats.pid')}"
        yield "max_payload: 1MB"
        yield "jetstream {"
        yield f"  store_dir: {_quoted(store)}"
        yield f"  max_file: {choices.max_file}"
        yield "  max_mem: 256MB"
        if not choices.is_old:
            yield "  # Acknowledge what is on the disk: by default up to two minutes are lost with the power."
            yield "  sync_interval: always"
        yield "}"
        yield "tls {"
        yield from _tls(place)
        yield "}"
        if len(self.servers) > 1:
            yield "cluster {"
            yield "  name: fleet"
            yield f"  port: {server.route_port}"
            yield "  tls {"
            yield from (f"  {line}" for line in (*_tls(place), f"  ca_file: {_quoted(f'{place}/ca.pem')}"))
            yield "    verify: true"
            yield "  }"
            yield "  routes: ["
            for other in self.servers:
                host = f"[{other.host}]" if ":" in other.host else other.host
                yield f'    "nats://{host}:{other.route_port}"'
            yield "  ]"
            yield "}"
        yield "include users.conf"

    def _users(self) -> Iterator[str]:
        yield "# Written by cluster.py. An account has the streams of one owner; a user is one group of it."
        yield "accounts {"
        for account, content in sorted(self.data["accounts"].items()):
            yield f"  {_quoted(account)}: {{"
            yield "    jetstream: enabled"
            yield "    users: ["
            for name, user in sorted(content["users"].items()):
                yield from (f"      {line}" for line in _user(f"{account}.{name}", name, user))
            yield "    ]"
            yield "  }"
        yield "}"


def _user(login: str, name: str, user: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    yield f"  user: {_quoted(login)}"
    yield f"  password: {_quoted(user['password'])}"
    if name != OPERATOR:
        yield "  permissions: {"
        yield "    publish: ["
        yield from (f"      {_quoted(each)}" for each in publish(user["realm"], name, create=user["create"]))
        yield "    ]"
        yield "    subscribe: ["
        yield from (f"      {_quoted(each)}" for each in subscribe(user["realm"], name))
        yield "    ]"
        yield "    # Answers to what another group asks, and nothing else, into its inbox."
        yield '    allow_responses: { max: 1, expires: "10s" }'
        yield "  }"
    yield "}"


def _tls(place: str) -> Iterator[str]:
    yield f"  cert_file: {_quoted(f'{place}/server.pem')}"
    yield f"  key_file: {_quoted(f'{place}/server.key')}"


def _quoted(text: str) -> str:
    return json.dumps(text)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# --- commands


def _server(text: str) -> Server:
    host, *ports = text.rsplit(":", 3) if text.count(":") >= 3 and not _is_address(text) else [text]
    host = host.removeprefix("[").removesuffix("]")
    if not _HOST.fullmatch(host) or not all(port.isdecimal() and 0 < int(port) < 65_536 for port in ports):
        raise SystemExit(f"cluster.py: expected HOST, or HOST:PORT:ROUTE_PORT:MONITOR_PORT, got {text}")
    return Server(host, *map(int, ports))


def _servers(fleet: Fleet, given: argparse.Namespace) -> str:
    if len(given.server) not in (1, 3, 5):
        raise SystemExit("cluster.py: expected 1, 3 or 5 servers: with another number fewer may fail")
    found = [_server(text) for text in given.server]
    if len({server.name for server in found}) != len(found):
        raise SystemExit("cluster.py: two servers are the same")
    fleet.data["servers"] = [vars(server) for server in found]
    choices = Choices(given.conf_dir, given.store_dir, given.max_file, given.nats_2_9)
    fleet.data["choices"] = vars(choices)
    fleet.account(given.account)
    fleet.save()
    return f"wrote {', '.join(str(fleet.folder / server.name) for server in found)}"


def _add(fleet: Fleet, account: str, name: str, user: Mapping[str, Any]) -> Path:
    if not fleet.servers:
        raise SystemExit(
            f"cluster.py: {fleet.folder} has no servers yet: python3 cluster.py servers {fleet.folder} HOST…"
        )
    users = fleet.account(account)["users"]
    password = users.get(name, {}).get("password") or secrets.token_urlsafe(32)
    users[name] = {"password": password, **user}
    fleet.save()
    path = fleet.folder / f"{account}.{name}.credentials"
    private(path, f"user = {account}.{name}\npassword = {password}\n")
    return path.resolve()


def _group(fleet: Fleet, given: argparse.Namespace) -> str:
    name = _valid(given.name)
    if name in (OPERATOR, "all"):
        raise SystemExit(f"cluster.py: a group cannot be called {name}")
    before = fleet.account(given.account)["users"].get(name, {}).get("realm", given.realm)
    if before != given.realm:
        raise SystemExit(f"cluster.py: {name} is a group of the realm {before}: give another --account")
    path = _add(fleet, given.account, name, {"realm": _valid(given.realm), "create": not given.no_create})
    addresses = " ".join(f"tls://{server.host}:{server.port}" for server in fleet.servers)
    lines = {"servers": addresses, "ca": fleet.folder.resolve() / "ca.pem", "name": name, "credentials": path}
    lines |= {"realm": given.realm} if given.realm != REALM else {}
    lines |= {"create": False} if given.no_create else {}
    return "\n".join(f"{f'fleet.{key}':17} = {value}" for key, value in lines.items())


def _operator(fleet: Fleet, given: argparse.Namespace) -> str:
    return f"credentials: {_add(fleet, given.account, OPERATOR, {})}"


def _remove(fleet: Fleet, given: argparse.Namespace) -> str:
    if fleet.account(given.account)["users"].pop(given.name, None) is None:
        raise SystemExit(f"cluster.py: there is no group {given.name} in the account {given.account}")
    fleet.save()
    (fleet.folder / f"{given.account}.{given.name}.credentials").unlink(missing_ok=True)
    return f"removed {given.name}: copy users.conf to the servers and reload them"


def _valid(name: str) -> str:
    if not _GROUP.fullmatch(name):
        raise SystemExit(f"cluster.py: expected at most 63 of a to z, 0 to 9 and -, got {name}")
    return name


def main(arguments: list[str]) -> str:
    """What was done, as lines for torque.ini where there are some."""
    parser = argparse.ArgumentParser(prog="cluster.py", description="Configure the NATS servers of a fleet.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        made.add_argument("folder", type=Path, metavar="FOLDER")
        made.add_argument("--account", default="fleet", type=_valid, help="the owner of the groups (default: fleet)")
        return made

    made = command("servers", _servers, "Write the configuration and certificates of the servers.")
    made.add_argument("server", nargs="+", metavar="HOST", help="or HOST:PORT:ROUTE_PORT:MONITOR_PORT")
    made.add_argument("--conf-dir", default="", help="where the files are on a server (default: here)")
    made.add_argument("--store-dir", default="/var/lib/nats", help="for the streams (default: /var/lib/nats)")
    made.add_argument("--max-file", default="8GB", help="bytes of all streams; less than the disk has (default: 8GB)")
    made.add_argument("--nats-2.9", dest="nats_2_9", action="store_true", help="without sync_interval: always")
    made = command("group", _group, "Add a user for a group, or write its permissions again.")
    made.add_argument("name", metavar="GROUP", help="its fleet.name")
    made.add_argument("--realm", default=REALM, help="its fleet.realm (default: pyrotorque)")
    made.add_argument("--no-create", action="store_true", help="it may not create the streams")
    made = command("remove", _remove, "Remove the user of a group.")
    made.add_argument("name", metavar="GROUP")
    command("operator", _operator, "Add a user that may do everything in its account, for the command `nats`.")
    given = parser.parse_args(arguments)
    result: str = given.run(Fleet(given.folder), given)
    return result


if __name__ == "__main__":
    print(main(sys.argv[1:]))
