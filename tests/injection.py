"""Loads torrents with hostile names, labels, folders and trackers into a real rTorrent, and reads what it kept."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bencode2 import bdecode

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque import watchini
from pyrotorque.errors import CommandRefused, MetafileError, RTorrentFault, TemplateError
from pyrotorque.loadcommands import compile_command, tie
from pyrotorque.loadcommands.namespace import namespace
from pyrotorque.metafile import read
from pyrotorque.rtorrent import Param, RTorrent
from pyrotorque.templates import compile_template
from pyrotorque.watchini import FolderCommand
from tests.waiting import eventually

CANARY = "pwned"
ATTACKS: Sequence[bytes] = (
    b"x;execute.throw=touch,pwned",
    b"x\nexecute.throw=touch,pwned",
    b"x\0execute.throw=touch,pwned",
    b"x execute.throw=touch,pwned",
    b"x,$execute.capture=touch\\,pwned",
    b'x,"$execute.capture=touch,pwned"',
    b"x,(execute.throw,touch,pwned)",
    b'x","$execute.capture=touch,pwned',
    b'x";execute.throw=touch,"pwned',
    b"$execute.capture=touch,pwned",
    b'$execute.throw="touch","pwned"',
    b"$$execute.throw=touch,pwned",
    b"(execute.throw,touch,pwned)",
    b"((execute.throw,touch,pwned))",
    b"(((execute.throw,touch,pwned)))",
    b"{$execute.throw=touch,pwned}",
    b'"})$execute.throw=touch,pwned',
    b'"}),(execute.throw,touch,pwned),(cat,{"',
    b'$cat={"$execute.throw=touch,pwned"}',
    b'\\";execute.throw=touch,pwned;"',
    b'\\\\";execute.throw=touch,pwned;"',
    b"x\\",
    b'x"',
    b"x\\\\\\",
    b'""',
    b"{",
    b"}",
    b"({(",
    b"#x",
    b"=",
    b"~",
    b"$",
    b"-rf *",
    b"`touch pwned`",
    b"$(touch pwned)",
    b"%(info_name)s %s %%",
    b"{{info_name}}",
    b"{{py: import os}}",
    b"x\r\ny\tz\x0b\x0c",
    b"\x1b]0;x\x07",
    b"\xff\xfe\x80",
    "Σ…漢字😀".encode(),
    b"..",
    b"../../etc",
    b" leading and trailing ",
    b",,,",
    b"a" * 200,
)
# What the documentation recommends, and the places where a value can stand: (command, how its value is written, where
# rTorrent keeps it).
RECIPES: Sequence[tuple[str, str, tuple[bytes, ...]]] = (
    ("d.custom.set=targetdir,", "/var/torrent/done/{{label}}/{{relpath}}", (b"custom", b"targetdir")),
    ("d.custom1.set=", "{{label}}", (b"custom1",)),
    ("d.custom2.set=", "{{info_name}}", (b"custom2",)),
    ('d.custom3.set="', "quoted {{comment}}, {{tracker}};{{tracker_alias}}", (b"custom3",)),
    ("d.custom4.set=", "{{comment}}", (b"custom4",)),
    ("d.custom5.set=", "{{label}}{{comment}}{{relpath}}", (b"custom5",)),
    ("d.custom.set=upper,", "{{info_name|upper}}{{relpath|h.subst('[.]', '$')}}", (b"custom", b"upper")),
    ("d.custom.set=each,", "{{for part in comment.split('x')}}{{part}}-{{endfor}}", (b"custom", b"each")),
    ("d.custom.set=if,", "{{if comment}}{{comment}}{{else}}none{{endif}}", (b"custom", b"if")),
    ("d.directory.set=", "/var/torrent/{{label}}/{{relpath}}", (b"directory",)),
    ("d.throttle_name.set=", "{{tracker_alias}}", (b"throttle_name",)),
    (
        'd.custom.set=from,{{tracker_alias}}; d.custom.set=pretty,"',
        """{{info_name|h.subst("[._]+", " ")}}""",
        (b"custom", b"pretty"),
    ),
)
# The settings of a watch.ini, whose values are data as a whole.
INI_VALUES: Sequence[tuple[str, str, tuple[bytes, ...]]] = (
    ("custom.ini", "{{info_name}}", (b"custom", b"ini")),
    ("custom.both", "a {{tracker_alias}}, b; {{relpath}}", (b"custom", b"both")),
)
# Places where rTorrent runs what it finds.
RUN: Sequence[str] = (
    "branch={{label}},a,b",
    "branch=d.size_files=,{{label}}",
    "f.multicall=*{{label}},f.priority.set=2",
    "f.multicall=*,f.priority.set={{label}}",
    "d.custom1.set={ {{label}} }",
    "d.custom1.set={a,{ {{label}} } }",
    "d.custom1.set=(cat,{{label}})",
    "d.custom1.set=((cat,{{label}}))",
    "d.custom1.set=(((cat,{{label}})))",
    "d.custom1.set=({{label}})",
    "d.custom1.set=${{label}}",
    'd.custom1.set="${{label}}"',
    "d.custom1.set=$cat={{label}}",
    "d.custom.set={{label}},1",
    "{{label}}=1",
    "execute.throw={{label}}",
    "schedule2=x,0,0,{{label}}",
    "method.insert=x,simple,{{label}}",
    "if={{label}},a",
    "import={{label}}",
)


@dataclass
class Proof:
    """What was seen: `loaded` torrents, `values` that arrived byte for byte, those that did not, and refusals."""

    loaded: int = 0
    values: int = 0
    wrong: list[str] = field(default_factory=list[str])
    refused: dict[str, int] = field(default_factory=dict[str, int])
    executed: list[Path] = field(default_factory=list[Path])


@dataclass(frozen=True)
class Sent:
    info_hash: str
    payload: list[bytes]
    expected: Mapping[tuple[bytes, ...], bytes]


def hostile(count: int, seed: int = 5) -> Iterator[bytes]:
    """The attacks, then random strings: of all bytes, of the parser's own, and attacks with random bytes in them."""
    dice = random.Random(seed)
    yield from ATTACKS[:count]
    special = b'";,$\\{}()= \n\r\t\0#~x'
    for index in range(count - len(ATTACKS)):
        length = dice.randint(1, 60)
        if index % 3 == 0:
            yield dice.randbytes(length)
        elif index % 3 == 1:
            yield bytes(dice.choice(special) for _ in range(length))
        else:
            attack = bytearray(dice.choice(ATTACKS))
            attack.insert(dice.randint(0, len(attack)), dice.choice(special))
            yield bytes(attack)


def prove(rtorrent: PrivateRTorrent, strings: Sequence[bytes]) -> Proof:
    """Load one torrent for each string, with all recipes, and compare what rTorrent wrote into its session."""
    proof = Proof()
    client = RTorrent(rtorrent.url, read_timeout=60.0)
    commands: list[FolderCommand] = [
        compile_command(f"r{index}", _text(recipe)) for index, recipe in enumerate(RECIPES)
    ]
    values = watchini.parse("".join(f"{key} = {text}\n" for key, text, _ in INI_VALUES)).values
    commands += [values[key] for key, _, _ in INI_VALUES]
    sent = [_sent(index, raw, commands, proof) for index, raw in enumerate(strings)]
    for begin in range(0, len(sent), 20):
        calls: list[tuple[str, list[Param]]] = [("load.raw", ["", *each.payload]) for each in sent[begin : begin + 20]]
        faults = [answer for answer in client.multicall(calls) if isinstance(answer, RTorrentFault)]
        proof.wrong += [str(fault) for fault in faults]
    for each in sent:
        _compare(rtorrent, each, proof)
    proof.executed = [*rtorrent.folder.rglob(f"*{CANARY}*")]
    return proof


def _text(recipe: tuple[str, str, tuple[bytes, ...]]) -> str:
    command, value, _ = recipe
    return "{{# a comment, so that this is a template}}" + command + value + ('"' if command.endswith('"') else "")


def refused_places() -> int:
    """How many of the places in RUN are refused when the configuration is read."""
    count = 0
    for text in RUN:
        try:
            compile_command("run", "{{#}}" + text)
        except CommandRefused:
            count += 1
    return count


def _sent(index: int, raw: bytes, commands: Sequence[FolderCommand], proof: Proof) -> Sent:
    metafile, name_taken = _metafile(index, raw, proof)
    torrent = read(metafile)
    text = raw.decode("utf-8", "surrogateescape")
    path = b"/watch/" + raw.replace(b"\0", b"0").replace(b"..", b"__") + b"/x.torrent"
    names = namespace(torrent, path, "/watch")
    names |= {"label": text, "tracker_alias": text, "comment": text, "tracker": f"http://{text}/announce"}
    if not name_taken:
        names["info_name"] = text
    expected: dict[tuple[bytes, ...], bytes] = {(b"tied_to_file",): path}
    payload = [metafile, tie(path)]
    for command, (_, value, where) in zip(commands, (*RECIPES, *INI_VALUES), strict=True):
        try:
            payload.append(command.render(names))
        except (CommandRefused, TemplateError) as error:
            _refuse(proof, str(error).partition(" ")[0], "leaves its folder" in str(error) or "NUL" in str(error))
            continue
        rendered = compile_template("{{#}}" + value).render(names).encode("utf-8", "surrogateescape")
        expected[where] = rendered
    payload.append(b"d.custom.set=done,yes")
    return Sent(torrent.info_hash, payload, {**expected, (b"custom", b"done"): b"yes"})


def _metafile(index: int, raw: bytes, proof: Proof) -> tuple[bytes, bool]:
    """A metafile with the hostile name, or with a tame one where no torrent can be called so."""
    extra = {"number": index}
    try:
        metafile = make_metafile(raw, info_extra=extra)
        read(metafile)
    except MetafileError:
        _refuse(proof, "name", reasonable=raw in (b".", b"..") or b"/" in raw or b"\0" in raw)
        return make_metafile(f"tame {index}", info_extra=extra), False
    return metafile, True


def _refuse(proof: Proof, what: str, reasonable: bool) -> None:
    proof.refused[what] = proof.refused.get(what, 0) + 1
    if not reasonable:
        proof.wrong.append(f"{what} was refused for no good reason")


def _compare(rtorrent: PrivateRTorrent, sent: Sent, proof: Proof) -> None:
    path = rtorrent.session / f"{sent.info_hash}.torrent.rtorrent"
    eventually(path.exists, 30.0, why=f"{sent.info_hash} has a session file")
    saved = bdecode(path.read_bytes())
    proof.loaded += 1
    for where, value in sent.expected.items():
        found = saved
        for key in where:
            found = found.get(key, {})
        proof.values += found == value
        if found != value:
            proof.wrong.append(f"{where}: sent {value!r}, found {found!r}")
