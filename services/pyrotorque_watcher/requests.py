"""What the watcher answers when it is asked something."""

import time
from collections.abc import Sequence

from pyrotorque.errors import PyrotorqueError
from pyrotorque.requests import Answer, DescribeService, Request, RetryMetafiles
from pyrotorque.text import counted, printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.loader import Loader
from pyrotorque_watcher.scan.scanner import TreeJob


def answer(request: Request, ledger: Ledger, jobs: Sequence[TreeJob], loader: Loader | None) -> Answer:
    """Do what is asked, or say what is the case."""
    try:
        match request:
            case RetryMetafiles(paths=paths):
                return _retry(ledger, paths)
            case DescribeService():
                return Answer(ok=True, text=_said(ledger, jobs), data=describe(ledger, jobs, loader))
            case other:
                return Answer(ok=False, text=f"the watcher does not do {type(other).__name__}")
    except PyrotorqueError as error:
        return Answer(ok=False, text=str(error))


def _retry(ledger: Ledger, paths: tuple[str, ...]) -> Answer:
    with ledger.transaction():
        count = ledger.retry(paths or None, time.time())
    if not count and paths:
        return Answer(ok=False, text=f"no failed or baseline metafile is known as {printable(', '.join(paths))}")
    return Answer(ok=True, text=f"{counted(count, 'metafile')} will be loaded", data={"count": count})


def _said(ledger: Ledger, jobs: Sequence[TreeJob]) -> str:
    if not jobs:
        return ""
    counts = ledger.counts()
    roots, folders = sum(len(job.roots) for job in jobs), sum(job.watches for job in jobs)
    pending = counts.get("seen", 0) + counts.get("sent", 0)
    return f"{counted(roots, 'tree')}, {counted(folders, 'folder')} watched, {counted(pending, 'metafile')} pending"


def describe(ledger: Ledger, jobs: Sequence[TreeJob], loader: Loader | None) -> dict[str, object]:
    """For `pyrotorque status`."""
    return {
        "rtorrent": "unknown" if loader is None else "away" if loader.availability.problem else "answers",
        "metafiles": ledger.counts(),
        "jobs": {
            job.name: {
                "roots": [printable(path) for path in job.roots],
                "missing": [printable(path) for path in job.missing],
                "polled": {printable(root.path): root.deaf for root in job.roots.values() if root.deaf},
                "watches": job.watches,
                "walking": job.walking,
            }
            for job in jobs
        },
    }
