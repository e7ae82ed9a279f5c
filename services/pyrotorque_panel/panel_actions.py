"""The actions of pages and API, in the name of the caller: the same functions that the command uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyrotorque import actions
from pyrotorque.actions import Actor
from pyrotorque.errors import ActionRefused, PyrotorqueError, ServiceUnreachable, UserError
from pyrotorque.layout import Layout
from pyrotorque_panel.access import PanelIdentity
from pyrotorque_panel.cleaning import cleaned_text
from pyrotorque_panel.command_runner import CommandRunner

# A run that takes longer continues; the page shows its end.
_RUN_TIMEOUT: Final = 10.0

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

    def add(self, who: PanelIdentity, files: Sequence[bytes], magnet: str, folder: str) -> str:
        """Metafiles, and a magnet link if it is not empty."""
        if not files and not magnet.strip():
            raise UserError("choose a metafile, or paste a magnet link")
        actor, added = self._actor(who), list[str]()
        try:
            for content in files:
                added.append(actions.add_metafile(actor, content, folder).text)
            if magnet.strip():
                added.append(actions.add_magnet(actor, magnet, folder).text)
        except PyrotorqueError as error:
            if added:
                raise ActionRefused(self._done(f"{'; '.join(added)}; then: {error}")) from error
            raise
        return self._done("; ".join(added))

    def note(self, who: PanelIdentity, action: str, target: str, text: str, *, ok: bool = True) -> None:
        """Store the event of an action of the panel itself, such as a new token."""
        actions.record_action(self._actor(who), action, target, ok, text)

    def _actor(self, who: PanelIdentity) -> Actor:
        by = f"panel, {who.name}"
        return Actor(self.layout, by, starting=0.0, record=partial(self.record, by) if self.record else None)

    def _done(self, text: str) -> str:
        self.changed()
        return cleaned_text(text)


def outcome(action: Callable[[], str]) -> tuple[bool, str]:
    """For pages: the sentence about an action, and whether it was carried out."""
    try:
        return True, action()
    except PyrotorqueError as error:
        return False, cleaned_text(str(error))
