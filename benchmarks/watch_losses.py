"""What the watcher loses, and what it loads twice, when everything around it goes wrong: both columns must say 0.

`python -m benchmarks.watch_losses [SCALE]`: 1 is the full size, 0.1 a tenth of it.
"""

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure, show
from benchmarks.filled import scratch
from benchmarks.loading import bare_loop
from demo.group import environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.events import TorrentLoaded, decode
from pyrotorque.outbox import stored_events
from pyrotorque.rtorrent import RTorrent

INI = """\
[TORQUE]
scgi_url = {url}
job.treewatch.active = True
job.treewatch.path   = {root}
"""


@dataclass
class Scene:
    """A private rTorrent, its own watcher, and the expected items."""

    folder: Path
    rtorrent: PrivateRTorrent
    wanted: set[str] = field(default_factory=set[str])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def root(self) -> Path:
        return self.folder / "watch"

    @property
    def log(self) -> str:
        return (self.folder / "watcher.log").read_text(errors="replace")

    def start(self) -> None:
        """Start the watcher, with the same state as before."""
        command = [sys.executable, "-m", "pyrotorque_watcher", "--config-dir", str(self.folder / "config")]
        with (self.folder / "watcher.log").open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment())

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)

    def drop(self, place: str) -> None:
        """Write a metafile of its own to `place` below the root, with all folders on the way."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.made(place))

    def made(self, place: str) -> bytes:
        metafile = make_metafile(place.replace("/", " "))
        self.wanted.add(info_hash(metafile))
        return metafile

    def items(self) -> set[str]:
        return {info for (info,) in RTorrent(self.rtorrent.url, read_timeout=60).rows("main", ["d.hash="])}

    def size(self) -> int:
        return int(str(RTorrent(self.rtorrent.url, read_timeout=60).call("view.size", "", "main")))

    def published(self) -> list[str]:
        events = (decode(body).event for body in stored_events(self.folder / "config" / "state" / "watcher.sqlite3"))
        return [event.info_hash for event in events if isinstance(event, TorrentLoaded)]


def nested(scene: Scene, count: int) -> None:
    """`mkdir -p a/b/c/d` and a file at once."""
    for number in range(count):
        scene.drop(f"n{number}/b/c/d/x.torrent")


def moved_in(scene: Scene, count: int) -> None:
    """Trees made elsewhere, then renamed into the root."""
    for number in range(count):
        outside = scene.folder / "outside" / f"t{number}"
        for place in ("a/1.torrent", "a/b/2.torrent", "3.torrent"):
            path = outside / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(scene.made(f"t{number}/{place}"))
        outside.rename(scene.root / f"t{number}")


def overflow(scene: Scene, count: int) -> None:
    """One burst into watched folders while the watcher is stopped, so that the kernel drops events."""
    assert scene.process is not None
    for number in range(10):
        scene.drop(f"o{number}/first.torrent")
    wait_until(lambda: scene.wanted <= scene.items(), 30, lambda: scene.log[-2000:])
    scene.process.send_signal(signal.SIGSTOP)
    for number in range(count):
        scene.drop(f"o{number % 10}/{number}.torrent")
    scene.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "queue overflow" in scene.log or count < 8200, 120, lambda: "the kernel dropped nothing")


def killed(scene: Scene, count: int) -> None:
    """The watcher is killed 50 times at random while files arrive."""
    chance = random.Random(50)
    moments = set(chance.sample(range(count), min(50, count // 3)))
    for number in range(count):
        scene.drop(f"k{number % 40}/l{number % 7}/{number}.torrent")
        if number in moments:
            scene.end()
            scene.start()
            time.sleep(chance.random() * 0.6)


def rtorrent_away(scene: Scene, count: int, seconds: float) -> None:
    """rTorrent is killed in the middle, stays away, and comes back."""
    for number in range(count):
        scene.drop(f"r{number}.torrent")
        if number == count // 2:
            scene.rtorrent.kill()
            time.sleep(seconds)
            scene.rtorrent.start()


def root_gone(scene: Scene, count: int) -> None:
    """The root is renamed away and created again, ten times; the old files come back in the end."""
    for turn in range(10):
        for number in range(count // 10):
            scene.drop(f"g{turn}/{number}.torrent")
        wait_until(lambda: scene.wanted <= scene.items(), 60, lambda: scene.log[-2000:])
        kept = scene.folder / "kept"
        scene.root.rename(kept)
        time.sleep(0.2)
        if turn % 2:
            shutil.copytree(kept, scene.root)
            shutil.rmtree(kept)
        else:
            kept.rename(scene.root)


def unmounted(scene: Scene, count: int) -> None:
    """The root is a filesystem of its own that is taken away, and comes back with another device number."""
    kept = scene.folder / "kept"
    places = [scene.folder / "held"]
    places[0].mkdir()
    try:
        for turn in range(5):
            _mount(scene.root)
            if kept.exists():
                shutil.copytree(kept, scene.root, dirs_exist_ok=True)
                shutil.rmtree(kept)
            for number in range(count // 5):
                scene.drop(f"u{turn}/{number}.torrent")
            wait_until(lambda: scene.wanted <= scene.items(), 60, lambda: scene.log[-2000:])
            shutil.copytree(scene.root, kept)
            subprocess.run(["umount", str(scene.root)], check=True)
            # The kernel gives a free device number out again: this one is kept from the next.
            places.append(scene.folder / f"held{turn}")
            places[-1].mkdir()
            _mount(places[-1])
        shutil.copytree(kept, scene.root, dirs_exist_ok=True)
        scene.drop("last.torrent")
    finally:
        for place in (*places, scene.root):
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def _mount(place: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)


def _may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=False, capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


def measure(scale: float = 1.0) -> list[Figure]:
    """One row for each misfortune."""

    def size(full: int) -> int:
        return max(20, int(full * scale))

    figures = [
        _tried(f"{size(1000)} × mkdir -p a/b/c/d and a file at once", lambda scene: nested(scene, size(1000))),
        _tried(f"{size(200)} trees of three files moved in", lambda scene: moved_in(scene, size(200))),
        _tried(
            f"{size(20000)} files while it is stopped (SIGSTOP)",
            lambda scene: overflow(scene, size(20000)),
            beside=f"; a bare loop {_bare(size(20000)):.1f} s",
        ),
        _tried(f"killed at random during {size(3000)} files", lambda scene: killed(scene, size(3000))),
        _tried(
            f"rTorrent killed and away for {60 * scale:.0f} s in {size(500)} files",
            lambda scene: rtorrent_away(scene, size(500), 60 * scale),
        ),
        _tried(f"root taken away 10 times in {size(500)} files", lambda scene: root_gone(scene, size(500))),
    ]
    if _may_mount():
        unmount = _tried(
            f"root unmounted 5 times in {size(500)} files",
            lambda scene: unmounted(scene, size(500)),
            "job.treewatch.schedule = second=*/3\n",  # there is no event for a mount
        )
        figures.append(unmount)
    return figures


def _bare(count: int) -> float:
    """Seconds that rTorrent needs for as many, sent to it one after another by the one who writes them."""
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        scene = Scene(folder, rtorrent)
        scene.root.mkdir()
        with bare_loop(folder, rtorrent, scene.root) as drop:
            began = time.monotonic()
            for number in range(count):
                drop(scene.root / f"{number}.torrent", make_metafile(f"bare {number}"))
            wait_until(lambda: scene.size() >= count, 900, lambda: f"{scene.size()} of {count} loaded")
            return time.monotonic() - began


def _tried(what: str, misfortune: Callable[[Scene], None], settings: str = "", beside: str = "") -> Figure:
    with _scene(settings) as scene:
        began = time.monotonic()
        misfortune(scene)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: scene.size() >= len(scene.wanted), 900, lambda: "")
        seconds = time.monotonic() - began
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: len(scene.published()) >= len(scene.wanted), 10, lambda: "")
        lost = len(scene.wanted - scene.items())
        events = scene.published()
        twice = len(events) - len(set(events))
        unpublished = len(scene.wanted - set(events))
        return Figure(
            what,
            f"lost {lost}, twice {twice}, not published {unpublished}",
            f"{len(scene.wanted)} files in {seconds:.1f} s{beside}",
            "0, 0, 0",
            not (lost or twice or unpublished),
        )


@contextlib.contextmanager
def _scene(settings: str) -> Generator[Scene]:
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        scene = Scene(folder, rtorrent)
        scene.root.mkdir()
        (folder / "config").mkdir()
        ini = INI.format(url=rtorrent.url, root=scene.root)
        (folder / "config" / "torque.ini").write_text(ini + settings)
        scene.start()
        try:
            wait_until(lambda: "watching" in scene.log, 20, lambda: scene.log)
            yield scene
        finally:
            with contextlib.suppress(ProcessLookupError):
                scene.end()


if __name__ == "__main__":
    show("metafiles lost by the watcher", measure(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
