"""A group that watches a folder and starts what it loads, for tests of the command."""

from pathlib import Path

from demo.group import Group
from tests.dropping import drop


def torque_ini(url: str, watch: Path, *lines: str) -> str:
    return "\n".join(
        (
            "[TORQUE]",
            f"scgi_url = {url}",
            "job.queue.active = True",
            "job.queue.schedule = second=*/1",
            "job.treewatch.active = True",
            f"job.treewatch.path = {watch}",
            "job.treewatch.load_mode = start",
            "job.treewatch.queued = True",
            *lines,
            "",
        )
    )


def dropped(group: Group, name: str) -> str:
    """A metafile in the watched tree; its info-hash."""
    return drop(group.config_dir.parent / "watch" / f"{name}.torrent", name)
