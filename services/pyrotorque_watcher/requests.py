"""The requests that the watcher answers: retry metafiles, and describe itself for `pyrotorque status`."""

import os
import time
from collections.abc import Sequence
from typing import Final

from pyrotorque.errors import PyrotorqueError
from pyrotorque.fleet_requests import DiscardLoads, PermitLoads, SettledOffer, SettleOffers
from pyrotorque.linux.filesystems import is_within
from pyrotorque.requests import Answer, DescribeService, ForgetMetafiles, ListMetafiles, Request, RetryMetafiles, wrong
from pyrotorque.text import counted, printable
from pyrotorque_watcher.fleet.fleet_rows import FleetRows
from pyrotorque_watcher.fleet.releases import HeldReleases
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.loader import Loader
from pyrotorque_watcher.progress import LoadProgress
from pyrotorque_watcher.rows import LoadRefused
from pyrotorque_watcher.scan.files import is_metafile
from pyrotorque_watcher.scan.scanner import TreeScanner

_PAGE_MAX: Final = 200  # rows in one answer, which is limited to 1 MiB


def answer(
    request: Request,
    ledger: Ledger,
    scanners: Sequence[TreeScanner],
    loader: Loader | None,
    progress: LoadProgress | None = None,
    releases: HeldReleases | None = None,
) -> Answer:
    """Carry out the request."""
    try:
        match request:
            case RetryMetafiles(paths=paths):
                return _retry(ledger, scanners, paths)
            case ForgetMetafiles(paths=paths):
                return _forget(ledger, paths)
            case ListMetafiles():
                return _list(ledger, request)
            case SettleOffers(offers=offers) if loader is not None:
                return _settle(ledger, loader, offers)
            case PermitLoads(info_hashes=hashes) if releases is not None:
                return _permit(ledger, releases, hashes)
            case DiscardLoads(info_hashes=hashes) if releases is not None:
                return Answer(ok=True, data={each: why for each in hashes if (why := releases.discard(each))})
            case DescribeService():
                return Answer(
                    ok=True,
                    text=_summary(ledger, scanners),
                    data={**_state(ledger, scanners, loader), "progress": progress.data() if progress else None},
                )
            case other:
                return Answer(ok=False, text=f"the watcher has no request {type(other).__name__}")
    except PyrotorqueError as error:
        return Answer(ok=False, text=str(error))


def _retry(ledger: Ledger, scanners: Sequence[TreeScanner], paths: tuple[str, ...]) -> Answer:
    """What failed or is older than the first start; with paths, also any file at one of them, whatever its state."""
    now, clock = time.time(), time.monotonic()
    if not paths:
        with ledger.transaction():
            count = ledger.retry_all(now)
        return Answer(ok=True, text=f"{counted(count, 'metafile')} will be loaded", data={"count": count})
    count, walked, problems = 0, 0, list[str]()
    for path in paths:
        with ledger.transaction():
            retried = ledger.retry(turns_at(ledger.retryable(), (path,)), now)
            found = [] if retried else [scanner.examine_again(os.fsencode(path), now) for scanner in scanners]
        if retried or True in found:
            count += retried or 1
        elif any(scanner.walk_again(os.fsencode(path), clock) for scanner in scanners):
            walked += 1
        else:
            problems.append(_why_not(path))
    if problems:
        return wrong("; ".join(problems), {"count": count})
    more = f"; new ones in {counted(walked, 'folder')} too" if walked else ""
    return Answer(ok=True, text=f"{counted(count, 'metafile')} will be loaded{more}", data={"count": count})


def _forget(ledger: Ledger, paths: tuple[str, ...]) -> Answer:
    """Of these paths, and below these folders."""
    now = time.time()
    with ledger.transaction():
        count = ledger.forget(turns_at(ledger.failed(), paths), now) if paths else 0
    if not count:
        shown = ", ".join(printable(path) for path in paths)
        return wrong(f"no failed metafile is known as {shown or 'nothing'}", {"count": 0})
    return Answer(ok=True, text=f"{counted(count, 'metafile')} forgotten until changed", data={"count": count})


def _settle(ledger: Ledger, loader: Loader, offers: Sequence[SettledOffer]) -> Answer:
    """Those that are no offers any more are left as they are: they were settled, or their files changed."""
    rows, now, count = FleetRows(ledger), time.time(), 0
    with ledger.transaction():
        for offer in offers:
            if (row := rows.offered(offer.turn, offer.token)) is None:
                continue
            count += 1
            if offer.state == "placed":
                loader.outcomes.placed(row, offer.group, offer.reason, now, keeps_file=offer.keeps_file)
            elif offer.state == "duplicate":
                loader.outcomes.fleet_has_it(row, offer.reason, now, keeps_file=offer.keeps_file)
            else:
                loader.outcomes.failed(row, LoadRefused("refused", offer.reason), now)
    return Answer(ok=True, data={"settled": count})


def _permit(ledger: Ledger, releases: HeldReleases, hashes: Sequence[str]) -> Answer:
    now = time.time()
    with ledger.transaction():
        missing = [each for each in hashes if not releases.rows.permit(each, now)]
    releases.notice()
    return Answer(ok=True, data={"missing": missing})


def _list(ledger: Ledger, request: ListMetafiles) -> Answer:
    limit = max(1, min(request.limit, _PAGE_MAX))
    rows = ledger.listed(request.state, request.after, limit + 1, newest=request.newest)
    more = rows[limit - 1]["turn"] if len(rows) > limit else None
    return Answer(ok=True, text=counted(len(rows[:limit]), "metafile"), data={"metafiles": rows[:limit], "next": more})


def _why_not(path: str) -> str:
    shown = printable(path)
    if not os.path.lexists(path):
        return f"no file or folder, and no failed or baseline metafile, is known as {shown}"
    if os.path.isfile(path) and not is_metafile(os.fsencode(path)):
        return f"{shown} is no metafile by its name, which must end in .torrent or .magnet"
    return f"{shown} is not a file or folder below a watched folder"


def turns_at(rows: Sequence[tuple[int, bytes]], paths: Sequence[str]) -> list[int]:
    """The turns of the files that `paths` denote: as stored, as shown, above them, or by links to folders."""
    raw = [os.fsencode(path) for path in paths]
    turns = [turn for turn, path in rows if printable(path) in paths or any(is_within(path, each) for each in raw)]
    if turns:
        return turns
    real = [os.path.realpath(each) for each in raw]
    return [turn for turn, path in rows if any(is_within(os.path.realpath(path), each) for each in real)]


def _summary(ledger: Ledger, scanners: Sequence[TreeScanner]) -> str:
    if not scanners:
        return ""
    counts = ledger.counts()
    roots, folders = sum(len(each.roots) for each in scanners), sum(each.watches for each in scanners)
    pending = counts.get("seen", 0) + counts.get("sent", 0)
    return f"{counted(roots, 'tree')}, {counted(folders, 'folder')} watched, {counted(pending, 'metafile')} pending"


def _state(ledger: Ledger, scanners: Sequence[TreeScanner], loader: Loader | None) -> dict[str, object]:
    return {
        "rtorrent": "unknown" if loader is None else "away" if loader.availability.problem else "answers",
        "metafiles": ledger.counts(),
        "jobs": {
            scanner.name: {
                "roots": [printable(path) for path in scanner.roots],
                "missing": [printable(path) for path in scanner.missing],
                "polled": {printable(root.path): root.polled for root in scanner.roots.values() if root.polled},
                "watches": scanner.watches,
                "walking": scanner.walking,
            }
            for scanner in scanners
        },
    }
