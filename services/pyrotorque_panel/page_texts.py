"""Sentences and figures of the pages: events, jobs, holds, times and sizes as people read them."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from pyrotorque import humanize

_ICONS: Final = {
    "TorrentLoaded": "in",
    "TorrentStarted": "play",
    "TorrentCompleted": "check",
    "TorrentErased": "out",
    "TorrentRemoved": "out",
    "LoadFailed": "alert",
    "StartFailed": "alert",
    "JobFailed": "alert",
    "JobReported": "clock",
    "ServiceStateChanged": "again",
    "ActionTaken": "check",
    "TorrentMoved": "again",
    "TorrentRestored": "again",
    "QuarantinePurged": "out",
    "OrphansMoved": "out",
    "MetafileOffered": "in",
    "MetafilePlaced": "in",
    "JobRecovered": "check",
    "RTorrentLost": "alert",
    "RTorrentReturned": "check",
    "DiskLow": "alert",
    "DiskRecovered": "check",
    "QueueStalled": "alert",
    "QueueResumed": "check",
    "ProblemReported": "alert",
    "ProblemEnded": "check",
}


def verdict(needs: Sequence[Mapping[str, Any]]) -> str:
    """The heading of the first page, and the title of its tab."""
    count = sum(need["count"] for need in needs)
    return "All is well" if not count else "1 thing needs you" if count == 1 else f"{count} things need you"


def what_is_well(found: Mapping[str, Any]) -> str:
    """The sentence below the heading: what needs no one."""
    if found.get("away"):
        return "Its last figures are below."
    kinds = {need["kind"] for need in found["needs"]}
    parts = [] if "rtorrent" in kinds else ["rTorrent answers"]
    if "service" not in kinds and found.get("processes"):
        parts.append("all processes run")
    queues = found.get("queues") or []
    if queues and not any(queue.get("paused") for queue in queues):
        parts.append("the queue is at work" if len(queues) == 1 else f"{len(queues)} queues are at work")
    if not parts:
        return ""
    text = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    if kinds:
        return f"Everything else is well: {text}."
    return f"{text if text.startswith('rTorrent') else text.capitalize()}."


def event_icon(kind: str) -> str:
    """The name of the picture beside an event."""
    return _ICONS.get(kind, "list")


def event_tone(kind: str) -> str:
    """The class that colours it: `no` for a failure, `ok` for an end, `go` for a beginning."""
    if _ICONS.get(kind) == "alert":
        return "no"
    return "go" if kind == "TorrentStarted" else "ok" if _ICONS.get(kind) == "check" and kind != "ActionTaken" else ""


def age(at: float) -> str:
    """In one unit: a page is looked at, not measured with; the exact time is its title."""
    seconds = time.time() - at
    return f"{_roughly(seconds)} ago" if seconds >= 1 else "now"


def iso(at: float) -> str:
    """For the attribute `datetime` of an element; empty for what is no time."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def lasting(since: float) -> str:
    """How long something has been as it is, in one unit."""
    return _roughly(max(time.time() - since, 1.0))


def _roughly(seconds: float) -> str:
    return " ".join(humanize.duration(seconds).split()[:2])


def coming(at: float) -> str:
    """The time of day; with the date if it is half a day away."""
    shown = humanize.date_time(at)[:16]
    return shown[11:] if at - time.time() < 43_200 else shown


def rate(number: float | None) -> str:
    return "unknown" if number is None else humanize.rate(number)


def size(number: float | None) -> str:
    return "unknown" if number is None else humanize.size(number)


def known(value: object) -> str:
    return "unknown" if value is None else str(value)


def job_state(job: Mapping[str, Any]) -> str:
    """One word, which is also the class of its mark."""
    if job.get("paused"):
        return "paused"
    run = job.get("last_run")
    if run is None:
        return "waiting"
    return "well" if run.get("ok") else "failed"


def failed_first(jobs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """In their order otherwise."""
    return sorted(jobs, key=lambda job: job_state(job) != "failed")


def job_runs(job: Mapping[str, Any]) -> str:
    """The end of the last run, and when the next one is."""
    parts: list[str] = []
    run = job.get("last_run")
    if run:
        how = "" if run.get("ok") else f": {run.get('reason') or 'see its log'}"
        took = f" in {humanize.duration(run['seconds'])}" if run.get("ok") else ""
        parts.append(f"{'ran' if run.get('ok') else 'failed'} {age(run['at'])}{took}{how}")
    if job.get("next_fire") and not job.get("paused"):
        parts.append(f"next {coming(float(job['next_fire']))}")
    if job.get("on"):
        parts.append(f"on {', '.join(job['on'])}")
    if "last_run" not in job:
        parts.insert(0, "last run not known")  # a scheduler of 1.0.0, until it is restarted
    return "; ".join(parts) or "has not run yet"


def hold_sentence(queue: Mapping[str, Any]) -> str:
    """Why nothing more is started, or what is started next."""
    hold = queue.get("hold") or {}
    text = str(hold.get("text", ""))
    if hold.get("reason") == "no_slot":
        text = (
            "the next one starts when a slot is free" if queue.get("startable") else ""
        )  # the slots are shown already
    parts = [f"{text[0].upper()}{text[1:]}." if text else ""]
    if (at := queue.get("next_fire")) and not queue.get("paused"):
        parts.append(f"Next check at {humanize.time_of_day(float(at))}.")
    if queue.get("stalled"):
        parts.append(f"{queue['stalled']}.")
    return " ".join(part for part in parts if part)


def clause_values(clause: Mapping[str, Any]) -> str:
    """The value of the item that a clause was compared with."""
    return "" if clause.get("value") is None else f"{clause.get('field', '')} = {clause['value']}"


def event_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as a title and a sentence."""
    get = event.get
    title = str(get("name") or get("metafile") or get("job") or get("service") or get("target") or get("type"))
    match event["type"]:
        case "TorrentLoaded":
            text = f"loaded by {get('job')} in {humanize.duration(float(get('seconds', 0)))}"
        case "TorrentStarted":
            text = f"started by {get('job')}"
        case "TorrentCompleted":
            text = "complete"
        case "TorrentErased":
            text = "removed from rTorrent"
        case "TorrentMoved":
            text = f"moved to {get('new_path')}"
        case "TorrentRemoved":
            where = " to quarantine" if get("data") == "quarantine" else ""
            text = f"removed{where} by {get('job')}: {get('reason')}"
        case "TorrentRestored":
            text = "restored from quarantine"
        case "QuarantinePurged":
            text = f"deleted from quarantine by {get('job')}: {humanize.size(float(get('freed', 0)))}"
        case "OrphansMoved":
            text = f"moved {get('files')} files without an item to quarantine: {humanize.size(float(get('size', 0)))}"
        case "MetafileOffered":
            text = "offered to the fleet"
        case "MetafilePlaced":
            text = f"placed on {get('group')}"
        case "LoadFailed":
            text = f"not loaded: {get('reason')}"
        case "StartFailed":
            text = f"did not start: {get('reason')}"
        case "JobFailed":
            text = f"failed: {get('reason')}"
        case "JobReported":
            text = str(get("text"))
        case "DiskLow" | "DiskRecovered":
            title = f"disk {get('mountpoint')}"
            room = f"{humanize.size(float(get('free', 0)))} of {humanize.size(float(get('size', 0)))} free"
            text = f"{'nearly full' if event['type'] == 'DiskLow' else 'has room again'}: {room}"
        case "QueueStalled":
            text = f"all {get('slots')} slots stand still for {humanize.duration(float(get('seconds', 0)))}"
        case "QueueResumed":
            text = f"moves again after {humanize.duration(float(get('seconds', 0)))}"
        case "RTorrentLost":
            title, text = "rTorrent", f"does not answer: {get('reason')}"
        case "RTorrentReturned":
            title, text = "rTorrent", f"answers again after {humanize.duration(float(get('seconds', 0)))}"
        case "JobRecovered":
            text = f"succeeded again after {humanize.duration(float(get('seconds', 0)))}"
        case "ProblemReported" | "ProblemEnded":
            title, text = str(get("problem")), str(get("text"))
        case "ServiceStateChanged":
            text = f"{get('before')} → {get('state')} {get('reason')}".strip()
        case "ActionTaken":
            title = f"{get('action')} {get('target')}".strip()
            text = f"{get('by')}: {'' if get('ok') else 'refused: '}{get('text')}"
        case _:
            text = str(get("type"))
    return {"title": title, "text": text, "at": event["at"], "type": event["type"], "id": event.get("id", 0)}


def progress(item: Mapping[str, Any]) -> str:
    """How far a running item is, how fast, and how long it takes; what is unknown is left out."""
    parts: list[str] = []
    if item.get("size"):
        parts.append(f"{float(item.get('done') or 0):.0f} % of {humanize.size(item['size'])}")
    if item.get("down") is not None:
        parts.append(humanize.rate(item["down"]))
    if item.get("down") and item.get("left"):
        parts.append(f"{_roughly(item['left'] / item['down'])} left")
    return ", ".join(parts)


def key(*words: object) -> str:
    """An identifier of an element, from what it shows: a page that is replaced under a person keeps the focus there."""
    return sha256("\n".join(map(str, words)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
