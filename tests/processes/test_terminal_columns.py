"""What a person sees at 80 columns: no table or list of a real group with hostile names is wider than the terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from demo.group import Group, environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from tests.grouping import torque_ini
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.one_rtorrent(reason="one version is enough for what a terminal shows"),
]

NAMES = (
    "Linux.Distribution.With.A.Very.Long.Name.That.Has.No.Blank.In.It." * 3,
    "日本語のとても長い名前のトレント" * 5,
    "A name with several words of usual length that a person would read 2026",
    "short",
)
JOB = "job-with-a-name-that-is-rather-long-for-a-table-of-eighty-columns"
JOBS = (
    f"job.{JOB}.handler = pyrotorque.jobs.command:Command",
    f"job.{JOB}.schedule = second=*/2",
    f'job.{JOB}.args = /bin/sh -c "exit 3"',
    "job.tidy.handler = pyrotorque.jobs.cleanup:Cleanup",
    "job.tidy.schedule = hour=3",
    "job.tidy.condition = size>0",
    "job.tidy.data = keep",
    "job.queue.downloading_max = 1",
)


def on_terminal(group: Group, width: int, *words: str) -> str:
    """What the command prints on a terminal of this width, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    variables = {name: value for name, value in environment().items() if name not in ("COLUMNS", "NO_COLOR")}
    command = subprocess.Popen(
        [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), *words],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=variables | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b"".join(_pieces(ours))
    os.close(ours)
    command.wait()
    return Text.from_ansi(shown.decode("utf-8", "replace").replace("\r\n", "\n")).plain


def _pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the end, on Linux
            return
        if not piece:
            return
        yield piece


def test_no_line_is_wider_than_the_terminal_and_hashes_that_are_shown_are_accepted(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    watch = short_folder / "a folder with a long name for watching of metafiles" / "and another one below it"
    watch.mkdir(parents=True)
    hashes: list[str] = []
    with Group(short_folder / "conf", torque_ini(rtorrent.url, watch, *JOBS)) as group:
        for number, name in enumerate(NAMES):
            metafile = make_metafile(name.encode()[:230].decode("utf-8", "ignore"))
            hashes.append(info_hash(metafile))
            (watch / f"{number}.torrent").write_bytes(metafile)
        eventually(lambda: f"{len(NAMES)} items" in group.command("select", "size>0").stdout, 60)
        eventually(lambda: "failed: /bin/sh exited" in group.command("status").stdout.replace("\n", " "), 60)
        for words in (
            ("status",), ("check",), ("select", "size>0"), 
            ("select", "size>0", "--fields", "directory,left,kind"),
            ("explain",), ("explain", "short"), ("explain", "--history"), ("cleanup",), ("cleanup", "--item", "short"),
            ("quarantine", "list"), ("fleet",), ("pause", "nosuch"), ("select", "nosuchfield=1"),
        ):  # fmt: skip
            for width in (80, 140):
                shown = on_terminal(group, width, *words)
                assert shown.strip(), words
                wide = [line for line in shown.split("\n") if cell_len(line) > width]
                assert wide == [], (words, width)
        listed = on_terminal(group, 80, "select", "size>0")
        assert "64.0 KiB" in listed
        assert hashes[3][:10] in listed
        assert hashes[3] not in listed
        piped = group.command("select", "size>0").stdout
        assert hashes[3] in piped
        assert " 65536 " in piped
        for word in (hashes[3][:10], hashes[3][:10].lower(), "short"):
            assert "short" in group.command("explain", word).stdout
            assert group.command("start", word).returncode in (0, 75), word


def test_a_backup_and_its_restore_have_bars_that_fit(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    watch = short_folder / "watch"
    watch.mkdir()
    with Group(short_folder / "conf", torque_ini(rtorrent.url, watch)) as group:
        (watch / "one.torrent").write_bytes(make_metafile("One"))
        eventually(lambda: "1 item" in group.command("select", "size>0").stdout, 60)
        made = on_terminal(group, 80, "backup", str(short_folder))
    (archive,) = short_folder.glob("*.tar.gz")
    new = Group(short_folder / "new", "")
    listed = on_terminal(new, 80, "restore", str(archive), "--list")
    restored = on_terminal(new, 80, "restore", str(archive), "--no-session", "--replace")
    for shown, what in ((made, "backup"), (listed, "checking the archive"), (restored, "checking the archive")):
        bars = [line for line in shown.replace("\r", "\n").split("\n") if line.startswith(what)]
        assert bars, shown
        assert "100%" in bars[-1]
        assert max(map(cell_len, bars)) <= 80
    assert "written" in made
    assert "restored to" in restored
    assert (short_folder / "new" / "torque.ini").read_text() == (short_folder / "conf" / "torque.ini").read_text()
