"""The home of a made-up user in which the commands of the docs are executed: rTorrent, pyrotorque, and a metafile."""

import os
import subprocess
from pathlib import Path

from demo.group import free_port
from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from tests.installing import install

TORQUE = """[TORQUE]
scgi_url = {url}
job.queue.active = True
job.treewatch.active = True
job.treewatch.path = ~/rtorrent/watch
job.treewatch.load_mode = start
job.treewatch.queued = True
job.exporter.active = True
job.exporter.port = {port}
"""


class Home:
    """`with Home(folder, rtorrent_rc=…) as home: home.sh("pyrotorque status")`."""

    def __init__(self, folder: Path, *, rtorrent_rc: str = "") -> None:
        self.folder = folder
        # What rTorrent imports from its home must be there when it starts, as for a user who starts it again.
        self.rtorrent = PrivateRTorrent(folder, extra_rc=rtorrent_rc)

    def __enter__(self) -> "Home":
        install(self.folder)
        metafile = self.folder / "rtorrent/watch/tv/sample.torrent"
        metafile.parent.mkdir(parents=True)
        metafile.write_bytes(make_metafile("sample"))
        config = self.folder / ".pyroscope"
        config.mkdir(mode=0o700)
        (config / "torque.ini").write_text(TORQUE.format(url=self.rtorrent.url, port=free_port()))
        made = self.sh("pyrotorque init")
        assert made.returncode == 0, made.stderr
        # On a busy machine rTorrent could start the group before the page does.
        include = config / "rtorrent.d" / "torque.rc.default"
        written = include.read_text()
        assert "30, 300" in written
        include.write_text(written.replace("30, 300", "3000, 3000"))
        self.rtorrent.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sh("pyrotorque --stop")
        self.rtorrent.kill()

    def sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell as the user does; the first that fails ends them."""
        return subprocess.run(
            ["/bin/sh", "-e", "-c", script],
            cwd=self.folder,
            env={
                "HOME": str(self.folder),
                "PATH": f"{self.folder / '.local/bin'}:{os.environ['PATH']}",
                "LANG": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
