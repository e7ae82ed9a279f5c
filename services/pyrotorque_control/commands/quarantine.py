"""`pyrotorque quarantine`: lists, restores and purges what clean-up jobs have moved to quarantine."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from pyrotorque.errors import PyrotorqueError, RemovalRefused, UserError
from pyrotorque.events import TorrentRestored
from pyrotorque.humanize import date_time, size
from pyrotorque.long_work import WorkReport
from pyrotorque.text import is_hash_of, printable
from pyrotorque_control import terminal
from pyrotorque_control.client import recorded, require_real_run
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group
from pyrotorque_control.hints import general_hint
from pyrotorque_control.progress import ShownProgress

if TYPE_CHECKING:
    from pyrotorque.housekeeping.quarantine import QuarantineEntry
    from pyrotorque.jobs.cleanup import Cleanup
    from pyrotorque.jobs.orphans import Orphans


@click.group(short_help="List, restore or purge removed data.")
@click.pass_obj
def command(_group: Group) -> None:
    """Show, restore or delete the data that clean-up jobs have moved to quarantine.

    \b
      pyrotorque quarantine list           entries, and when each is purged
      pyrotorque quarantine restore HASH   the files, and the item as it was
      pyrotorque quarantine purge HASH     delete the data now
    """


@command.command("list", short_help="Show the entries.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.pass_obj
def list_entries(group: Group, as_json: bool) -> int:
    """Show each entry: when it was removed and why, its size, and when its data is deleted."""
    found = _entries(group)
    for job, entry in found if as_json else ():
        removal = entry.removal
        click.echo(
            terminal.json_line(
                {
                    "hash": removal.info_hash,
                    "name": removal.name,
                    "job": removal.job,
                    "reason": removal.reason,
                    "removed": removal.at,
                    "purge_at": job.clock.shown(removal.purge_at),
                    "size": entry.size,
                    "files": len(removal.files),
                    "folder": printable(str(entry.folder)),
                }
            )
        )
    if as_json:
        return EX_OK
    rows = [
        (date_time(each.removal.at), date_time(job.clock.shown(each.removal.purge_at)),
         terminal.hash_text(each.removal.info_hash) or each.folder.name,
         size(each.size), each.removal.name)
        for job, each in found
    ]  # fmt: skip
    for line in (
        terminal.aligned([("removed", "purged after", "hash", "size", "name"), *rows], is_cut=True) if rows else ()
    ):
        click.echo(line)
    click.echo(f"{len(rows)} {'entry' if len(rows) == 1 else 'entries'}")
    return EX_OK


@command.command(short_help="Restore items with their data.")
@click.argument("items", nargs=-1, callback=given_word, required=True, metavar="HASH|NAME…")
@click.option("--start/--no-start", default=None, help="Start the item, whether it was started before or not.")
@click.pass_obj
def restore(group: Group, items: Sequence[str], start: bool | None) -> int:
    """Move the files back to where they were, never over another file, and load the item with its labels, custom
    values and folder. It is started if it was started before; rTorrent checks its data first."""
    from pyrotorque.confinement import StorageLimits
    from pyrotorque.housekeeping.restore import restore as restore_entry

    def restore_with_event(job: "Cleanup | Orphans", entry: "QuarantineEntry", work: WorkReport) -> None:
        if entry.removal.info_hash:
            job.require_known_rtorrent()
        limits = StorageLimits(job.below, job.private)
        restore_entry(job.rtorrent, entry, now=job.clock.now(), start=start, limits=limits, work=work)
        removal = entry.removal
        event = TorrentRestored(
            at=time.time(), info_hash=removal.info_hash, name=removal.name, job=removal.job, files=len(removal.files)
        )
        job.events.add(f"restored-{entry.folder.name}", event)

    return _each(group, items, restore_with_event, "restored", "restore")


@command.command(short_help="Delete the data of entries now.")
@click.argument("items", nargs=-1, callback=given_word, required=True, metavar="HASH|NAME…")
@click.pass_obj
def purge(group: Group, items: Sequence[str]) -> int:
    """Delete the data of these entries before their time is over. It cannot be undone, so the hash, the name of the
    folder or the name of the item must be whole. Data that an item of rTorrent uses or misses stays."""
    from pyrotorque.housekeeping.journal import RemovalJournal
    from pyrotorque.housekeeping.quarantine import needed_by, stay_text
    from pyrotorque.housekeeping.quarantine import purge as purge_entry

    def purge_unused(job: "Cleanup | Orphans", entry: "QuarantineEntry", work: WorkReport) -> None:
        if any(each.entry == entry.removal.entry for each in RemovalJournal(job.folder).unfinished()):
            raise RemovalRefused("its removal was interrupted, and may be undone: run its clean-up job first")
        if reason := needed_by(entry, job.reader.read_with_accepted().claims):
            raise RemovalRefused(f"its data in quarantine stays: {reason}")
        _, stay = purge_entry(entry, work, partial(job.add_purged, entry))
        if stay:
            raise RemovalRefused(stay_text(entry, stay))

    return _each(group, items, purge_unused, "deleted the data of", "purge")


def _entries(group: Group) -> "list[tuple[Cleanup | Orphans, QuarantineEntry]]":
    from pyrotorque.housekeeping import quarantine
    from pyrotorque_control.cleanup_jobs import cleanup_jobs

    folders = {folder: job for job in cleanup_jobs(group, None, required=False) for folder in job.quarantines()}
    found = [(job, entry) for folder, job in folders.items() for entry in quarantine.entries(folder, job.seals)]
    return sorted(found, key=lambda each: each[1].removal.at)


def entry_lines(group: Group, item: str) -> list[str]:
    """For `pyrotorque explain`: the entries of an item that is not in rTorrent any more."""
    return [
        f"{each.removal.name}: removed by {each.removal.job} on {date_time(each.removal.at)} ({each.removal.reason}); "
        f"its data is in quarantine until {date_time(job.clock.shown(each.removal.purge_at))}: "
        f"`pyrotorque quarantine restore {each.removal.info_hash or each.folder.name}`"
        for job, each in _entries(group)
        if item.strip() and _is_named(each, item, whole=False)
    ]


def _is_named(entry: "QuarantineEntry", word: str, *, whole: bool) -> bool:
    """Whether `word` is the info-hash or its beginning, the folder or the name of the entry or, unless `whole`, a part
    of the name."""
    name, wanted = entry.removal.name.casefold(), word.casefold()
    is_whole = wanted in (entry.folder.name.casefold(), name) or is_hash_of(entry.removal.info_hash, word)
    return is_whole or (not whole and wanted in name)


def _each(
    group: Group,
    items: Sequence[str],
    act: "Callable[[Cleanup | Orphans, QuarantineEntry, WorkReport], None]",
    done: str,
    word: str,
) -> int:
    require_real_run(group)
    code = EX_OK
    found = _entries(group)
    named = [_chosen(found, item, whole=word == "purge") for item in items]
    chosen = {entry.folder: (job, entry) for job, entry in named}
    files = sum(len(entry.removal.files) for _, entry in chosen.values())
    what = "restoring files" if word == "restore" else "deleting files"
    with ShownProgress(group.layout.run_dir, what, files, "file") as work:
        for job, entry in chosen.values():
            name = entry.removal.info_hash or entry.folder.name
            carry_out = partial(_carry_out, partial(act, job, entry, work), entry, f"{done} {entry.removal.name}")
            with job.locked():
                try:
                    work.echo(recorded(group, word, name, carry_out))
                except PyrotorqueError as error:
                    code = EX_TEMPFAIL
                    hint = f"; {hint}" if (hint := general_hint(error)) else ""
                    work.echo(f"pyrotorque: {entry.removal.name}: {error}{hint}", is_error=True)
    return code


def _chosen(
    found: "Sequence[tuple[Cleanup | Orphans, QuarantineEntry]]", word: str, *, whole: bool
) -> "tuple[Cleanup | Orphans, QuarantineEntry]":
    """The one entry that the word names. Raises UserError."""
    matching = [(job, entry) for job, entry in found if _is_named(entry, word, whole=whole)]
    if not matching:
        which = ", as a whole hash or name" if whole else ""
        raise UserError(f"there is no entry {printable(word)!r}{which}: `pyrotorque quarantine list` shows all")
    if len(matching) > 1:
        names = ", ".join(printable(entry.folder.name) for _, entry in matching)
        raise UserError(f"{printable(word)!r} matches several entries: use the name of the folder ({names})")
    return matching[0]


def _carry_out(act: Callable[[], None], entry: "QuarantineEntry", done: str) -> str:
    if not entry.folder.is_dir():
        raise RemovalRefused("it is not in quarantine any more")  # restored or purged since the entries were read
    try:
        act()
    except OSError as error:
        raise RemovalRefused(str(error)) from error
    return f"{done} ({entry.removal.info_hash or entry.folder.name})"
