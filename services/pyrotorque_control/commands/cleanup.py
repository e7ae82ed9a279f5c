"""`pyrotorque cleanup`: what the clean-up jobs would remove now, what stays and why; approves a large plan."""

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pyrotorque.errors import RemovalRefused
from pyrotorque.humanize import age, duration, size
from pyrotorque.long_work import Unit
from pyrotorque.text import counted, is_hash_of, printable
from pyrotorque_control import terminal
from pyrotorque_control.client import recorded, require_real_run
from pyrotorque_control.completion import complete_job
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.progress import ShownProgress

if TYPE_CHECKING:
    from pyrotorque.housekeeping.survey import Survey
    from pyrotorque.jobs.cleanup import Cleanup
    from pyrotorque.jobs.orphans import Orphans

_FILES_MAX = 10


@click.command(short_help="Show what clean-up jobs would remove, and why the rest stays.")
@click.argument("job", callback=given_word, required=False, metavar="[JOB]", shell_complete=complete_job)
@click.option("--item", metavar="HASH|NAME", help="Only items with this hash or part of a name: why they go or stay.")
@click.option("--approve", metavar="PLAN", help="Let the job carry out this plan, which exceeds max_percent.")
@click.option("--accept-items", is_flag=True, help="Confirm that rTorrent's list of items is shorter than it was.")
@click.option("--accept-magnets", is_flag=True, help="Confirm that no data is kept for magnet links without metadata.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per job.")
@click.pass_obj
def command(
    group: Group,
    job: str | None,
    item: str | None,
    approve: str | None,
    accept_items: bool,
    accept_magnets: bool,
    as_json: bool,
) -> int:
    """Show the plan of each clean-up job: the items that it would remove now, with the files that stay, the bytes that
    become free, and the reasons why other items stay. Nothing is changed. A run carries out the same plan.

    \b
      pyrotorque cleanup                       all clean-up jobs
      pyrotorque cleanup tidy --item ubuntu    why these items go or stay
      pyrotorque cleanup tidy --approve 1a2b   allow more than max_percent

    The exit code is 75 if a run would remove nothing because a fact that it needs cannot be seen.
    """
    from pyrotorque.jobs.cleanup import Cleanup
    from pyrotorque.jobs.orphans import Orphans
    from pyrotorque_control.cleanup_jobs import cleanup_jobs

    if item is not None and not item.strip():
        raise click.UsageError("an empty word names no item")
    jobs = cleanup_jobs(group, job)
    if accept_items or accept_magnets or approve is not None:
        require_real_run(group)
    if accept_items:
        return _accept_items(jobs)
    if accept_magnets:
        return _accept_magnets(jobs)
    if approve is not None:
        chosen = jobs[0]
        if job is None:
            raise CommandError(f"name the job, too: `pyrotorque cleanup JOB --approve {printable(approve)}`", EX_USAGE)
        if not isinstance(chosen, Cleanup):
            raise CommandError(f"{chosen.name} looks for orphaned files: no plan of it waits for an approval", EX_USAGE)
        click.echo(recorded(group, "approve", f"{chosen.name} {approve}", lambda: _approve(chosen, approve)))
        return EX_OK
    code = EX_OK
    for each in jobs:
        each.reader.working = partial(_working, group, each.name)
        try:
            if isinstance(each, Orphans):
                _show_orphans(each, as_json)
                continue
            found = each.preview()
        except RemovalRefused as error:
            code = EX_TEMPFAIL
            if as_json:
                click.echo(terminal.json_line({"job": each.name, "refused": str(error)}))
                continue
            terminal.echo(f"{each.name}: would remove nothing: {error}")
            for note in each.notes() if isinstance(each, Cleanup) else ():
                terminal.echo(f"  note: {note}")
            continue
        if found.plan.held_back:
            code = EX_TEMPFAIL
        if as_json:
            click.echo(terminal.json_line(as_data(each, found, item)))
        else:
            terminal.echo("\n".join(lines(each, found, item)))
    return code


def _working(group: Group, job: str, what: str, total: int, unit: Unit) -> ShownProgress:
    return ShownProgress(group.layout.run_dir, f"{job}: {what}", total, unit, is_late=True)


def _show_orphans(job: "Orphans", as_json: bool) -> None:
    found, _ = job.survey()
    now = time.time()
    files = [
        {
            "path": printable(each.full),
            "size": each.status.st_size,
            "since": job.clock.shown(found.seen[each.full.hex()].since),
            "would_move": number < len(found.old),
        }
        for number, each in enumerate((*found.old, *found.fresh))
    ]
    if as_json:
        click.echo(terminal.json_line({"job": job.name, "files": found.files, "orphans": files}))
        return
    terminal.echo(f"{job.name}: {len(files)} of {counted(found.files, 'file')} belong to no item, "
               f"{len(found.old)} of them for {duration(job.seen_for)}")  # fmt: skip
    for file in files:
        terminal.echo(f"  {file['path']}  {size(float(str(file['size'])))}  seen {age(float(str(file['since'])), now)}")


def _accept_items(jobs: "Sequence[Cleanup | Orphans]") -> int:
    """Confirm the list for all clean-up jobs, which share what they have seen, or for jobs that look for orphans."""
    from pyrotorque.housekeeping.cleanup_state import accept_items
    from pyrotorque.jobs.orphans import Orphans

    count = len(jobs[0].reader.live_items())
    for folder in {job.state_dir if isinstance(job, Orphans) else job.folder for job in jobs}:
        accept_items(folder, count, jobs[0].clock.now())
    click.echo(f"the next run accepts a list of {counted(count, 'item')}")
    return EX_OK


def _accept_magnets(jobs: "Sequence[Cleanup | Orphans]") -> int:
    """Confirm all magnet links that have no metadata now, for all clean-up jobs."""
    from pyrotorque.housekeeping.pending_magnets import accept_magnets, accepted_magnets

    try:
        claims = [job.reader.read().claims for job in jobs]
    except RemovalRefused as error:
        raise CommandError(f"the items cannot be read: {error}", EX_TEMPFAIL) from error
    names = {content.info_hash: content.name for each in claims for content in each.contents.values()}
    found = sorted(frozenset[str]().union(*(each.magnets for each in claims)))
    if not found:
        click.echo("no magnet link without metadata keeps data")
        return EX_OK
    folder = jobs[0].folder
    accept_magnets(folder, (accepted_magnets(folder) & names.keys()) | set(found))
    for info_hash in found:
        terminal.echo(f"no data is kept for {printable(names[info_hash])} until it has its metadata")
    return EX_OK


def _approve(job: "Cleanup", plan: str) -> str:
    from pyrotorque.jobs.cleanup import waiting_plan

    stored = job.stored()
    pending = stored.state.pending
    if pending is None or pending.plan != plan:
        # No run has seen it yet: the one that `pyrotorque cleanup` shows.
        found = job.preview()
        pending = waiting_plan(found) if found.plan.held else None
        if pending is None or pending.plan != plan:
            known = f"the plan that waits is {pending.plan}" if pending else "no plan waits"
            raise CommandError(f"{job.name} has no plan {printable(plan)!r} to approve: {known}", EX_USAGE)
    stored.approve(job.clock.now(), pending)
    return f"approved: {job.name} may remove these {counted(len(pending.effects), 'item')}, within its daily limits"


def as_data(job: "Cleanup", found: "Survey", item: str | None) -> dict[str, Any]:
    """The plan as plain JSON values."""
    plan = found.plan
    removals = [each for each in plan.removals if _is_chosen(each.candidate.info_hash, each.candidate.name, item)]
    return {
        "job": job.name,
        "data": job.settings.data,
        "dry_run": job.dry_run,
        "items": len(found.items),
        "plan": plan.id,
        "held": plan.held or None,
        "frees": plan.frees,
        "missing": plan.missing,
        "used": found.used,
        "held_back": plan.held_back or None,
        "notes": job.notes(),
        "removals": [
            {
                "hash": each.candidate.info_hash,
                "name": printable(each.candidate.name),
                "facts": each.candidate.text,
                "size": each.size,
                "frees": each.frees,
                "files": _files(found, each.candidate.info_hash, each.kept_files),
            }
            for each in removals
        ],
        "kept": [
            {"hash": info_hash, "name": printable(found.names.get(info_hash, "")), "reason": kept.reason,
             "text": printable(kept.text)}
            for info_hash, kept in plan.kept.items()
            if _is_chosen(info_hash, found.names.get(info_hash, ""), item)
        ],
    }  # fmt: skip


def _files(found: "Survey", info_hash: str, kept: Any) -> list[dict[str, Any]]:
    if found.inventory is None:
        return []
    claims = found.inventory.claims
    return [
        {
            "path": printable(each.path),
            "size": each.file.size,
            "kept_for": sorted(printable(claims.contents[other].name) for other in kept.get(each.path, ())),
        }
        for each in claims.files[info_hash]
        if each.found is not None
    ]


def _is_chosen(info_hash: str, name: str, item: str | None) -> bool:
    return item is None or is_hash_of(info_hash, item) or item.casefold() in name.casefold()


def item_lines(job: "Cleanup", found: "Survey", item: str) -> list[str]:
    """For `pyrotorque explain`: why the matching items go or stay; empty if the condition chooses none of them."""
    data = as_data(job, found, item)
    goes = [f"  {each['name']}: would be removed ({each['facts']})" for each in data["removals"]]
    stays = [f"  {each['name']}: stays: {each['text']}" for each in data["kept"]]
    known = [each for each in found.items.values() if _is_chosen(each.info_hash, each.name, item)]
    chosen = {each["hash"] for each in (*data["removals"], *data["kept"])}
    others = [f"  {printable(each.name)}: stays: the condition does not choose it" for each in known
              if each.info_hash not in chosen]  # fmt: skip
    notes = [f"  note: {note}" for note in data["notes"]]
    return [f"\n{job.name} (clean-up):", *goes, *stays, *others, *notes] if known else []


def lines(job: "Cleanup", found: "Survey", item: str | None) -> list[str]:
    """The plan as text."""
    plan, data = found.plan, as_data(job, found, item)
    free = f", free {size(plan.frees)}" if job.settings.data == "delete" else ""
    shown = [f"{job.name}: would remove {len(plan.removals)} of {counted(len(found.items), 'item')}{free} "
             f"(data: {job.settings.data}{', dry run' if job.dry_run else ''})"]  # fmt: skip
    if plan.held:
        shown.append(f"  waits: {plan.held}; approve it with `pyrotorque cleanup {job.name} --approve {plan.id}`")
    if plan.missing:
        shown.append(f"  {plan.shortage}")
    if plan.held_back:
        shown.append(f"  no data is removed: {printable(plan.held_back)}")
    shown += [f"  note: {note}" for note in data["notes"]]
    if job.settings.max_used:
        shown.append(f"  {size(found.used)} of {size(job.settings.max_used)} used (max_used)")
    for each in data["removals"]:
        moved = f"{size(each['size'])} of data" if job.settings.data != "keep" else "data stays"
        shown.append(f"  {each['name']}  {each['facts']}  {moved}")
        stay = [file for file in each["files"] if file["kept_for"]]
        shown += [f"      {file['path']}  stays: {', '.join(file['kept_for'])} has it" for file in stay[:_FILES_MAX]]
        if item is not None:
            shown += [f"      {file['path']}  {size(file['size'])}" for file in each["files"] if not file["kept_for"]]
    if item is not None:
        shown += [f"  {each['name']}  stays: {each['text']}" for each in data["kept"]]
    elif plan.kept:
        counts = Counter(kept.reason for kept in plan.kept.values())
        reasons = " · ".join(f"{reason} {number}" for reason, number in counts.most_common())
        shown.append(f"  kept {len(plan.kept)}: {reasons}")
    return shown
