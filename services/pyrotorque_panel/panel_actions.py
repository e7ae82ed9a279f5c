"""The actions of pages and API, in the name of the caller: the same functions that the command uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyrotorque import actions
from pyrotorque.actions import Actor
from pyrotorque.errors import ActionRefused, PyrotorqueError, ServiceUnreachable, UserError
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer
from pyrotorque.text import printable
from pyrotorque_panel.access import PanelIdentity
from pyrotorque_panel.cleaning import cleaned_text
from pyrotorque_panel.command_runner import CommandRunner
from pyrotorque_panel.exchange import Upload

# A run that takes longer continues; the page shows its end.
_RUN_TIMEOUT: Final = 10.0
_SHOWN: Final = 5
"""Metafiles that a sentence names."""
_NAME_MAX: Final = 100

Record = Callable[[str, str, str, bool, str], None]


@dataclass(frozen=True)
class PanelActions:
    """`record` stores the event of an action that no service carries out, by default the scheduler of the group does;
    `changed` makes views ask again.
    """

    layout: Layout
    record: Record | None
    changed: Callable[[], None]

    def pause(self, who: PanelIdentity, job: str) -> str:
        return self._done(actions.pause_job(self._actor(who), job).text)

    def resume(self, who: PanelIdentity, job: str) -> str:
        return self._done(actions.resume_job(self._actor(who), job).text)

    def run(self, who: PanelIdentity, job: str) -> str:
        try:
            return self._done(actions.run_job(self._actor(who), job, _RUN_TIMEOUT).text)
        except ServiceUnreachable as error:
            if "did not answer within" not in str(error):
                raise
            return self._done(f"{job} was started, and still runs")

    def start(self, who: PanelIdentity, info_hash: str) -> str:
        return self._done(actions.start_item(self._actor(who), info_hash).text)

    def stop(self, who: PanelIdentity, info_hash: str) -> str:
        return self._done(actions.stop_item(self._actor(who), info_hash).text)

    def park(self, who: PanelIdentity, info_hash: str, seconds: float) -> str:
        return self._done(actions.park_item(self._actor(who), info_hash, seconds).text)

    def retry(self, who: PanelIdentity, paths: Sequence[str]) -> str:
        return self._done(actions.retry_metafiles(self._actor(who), paths).text)

    def forget(self, who: PanelIdentity, paths: Sequence[str]) -> str:
        return self._done(actions.forget_metafiles(self._actor(who), paths).text)

    def approve(self, who: PanelIdentity, job: str, plan: str) -> str:
        """Let a clean-up job carry out this plan."""
        actions.require_job(self.layout, job)
        if not plan.isalnum():
            raise UserError("this is no plan")
        return self._done(self._runner.act(self._actor(who).by, "cleanup", "--approve", plan, "--", job))

    def restore(self, who: PanelIdentity, entry: str) -> str:
        """Restore an entry of the quarantine, named by its folder."""
        if not entry or not entry.isprintable():
            raise UserError("this is no entry of the quarantine")
        return self._done(self._runner.act(self._actor(who).by, "quarantine", "restore", "--", entry))

    @property
    def _runner(self) -> CommandRunner:
        return CommandRunner(self.layout)

    def restart(self, who: PanelIdentity, service: str) -> str:
        """Restart a service of the group."""
        return self._done(actions.restart_service(self._actor(who), service).text)

    def add(self, who: PanelIdentity, files: Sequence[Upload], magnet: str, folder: str) -> str:
        """Metafiles, and a magnet link if it is not empty; one that cannot be added keeps none of the others away."""
        if not files and not magnet.strip():
            raise UserError("choose a metafile, or paste a magnet link")
        actor = self._actor(who)
        adds = [(each.name, partial(actions.add_metafile, actor, each.content, folder)) for each in files]
        if magnet.strip():
            adds.append(("the magnet link", partial(actions.add_magnet, actor, magnet, folder)))
        added, failed = list[Answer](), list[str]()
        for name, add in adds:
            try:
                added.append(add())
            except PyrotorqueError as error:
                if len(adds) == 1:
                    raise
                failed.append(f"{printable(name)[:_NAME_MAX]}: {error}")
        text = self._done(_additions(added, failed))
        if failed:
            raise ActionRefused(text)
        return text

    def note(self, who: PanelIdentity, action: str, target: str, text: str, *, ok: bool = True) -> None:
        """Store the event of an action of the panel itself, such as a new token."""
        actions.record_action(self._actor(who), action, target, ok, text)

    def _actor(self, who: PanelIdentity) -> Actor:
        by = f"panel, {who.name}"
        return Actor(self.layout, by, starting=0.0, record=partial(self.record, by) if self.record else None)

    def _done(self, text: str) -> str:
        self.changed()
        return cleaned_text(text)


def _additions(added: Sequence[Answer], failed: Sequence[str]) -> str:
    parts = [each.text for each in added]
    if len(added) > _SHOWN:
        parts = [f"added {len(added)} metafiles to {added[0].data['folder']}"]
    if failed:
        more = [f"and {len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else []
        parts += [f"not added: {'; '.join([*failed[:_SHOWN], *more])}"]
    return "; ".join(parts)


def outcome(action: Callable[[], str]) -> tuple[bool, str]:
    """For pages: the sentence about an action, and whether it was carried out."""
    try:
        return True, action()
    except PyrotorqueError as error:
        return False, cleaned_text(str(error))
