"""Applies one action to each item that matches a condition: start, stop, delete, tag, reannounce, ..."""

import time
from collections.abc import Mapping
from typing import Any, Final

from pyrotorque.errors import RTorrentFault, SessionNotKnown, UserError
from pyrotorque.events import Event
from pyrotorque.items import Item
from pyrotorque.jobs.arguments import compile_text
from pyrotorque.jobs.item_job import ItemJob
from pyrotorque.jobs.params import get_text, require_text
from pyrotorque.rtorrent.packed_rows import Form
from pyrotorque.text import printable

RTorrentCall = tuple[str, tuple[str | int, ...]]

_PLAIN: Final[Mapping[str, tuple[str, ...]]] = {
    "start": ("d.start",),
    "stop": ("d.stop",),
    "close": ("d.stop", "d.close"),
    "pause": ("d.pause",),
    "resume": ("d.resume",),
    "delete": ("d.stop", "d.close", "d.erase"),
    "hash_check": ("d.check_hash",),
    "save": ("d.save_full_session",),
    "reannounce": ("d.tracker_announce",),
}
_TAGS: Final = "d.custom=tags"
# What cannot be undone, or is computed from the item: a change by its owner in between would be lost.
_BY_STATE: Final = ("delete", "tag", "untag", "throttle")
_WITH_VALUE: Final = ("priority", "throttle", "custom", "tag", "untag")
_ALIASES: Final = {"erase": "delete", "check": "hash_check", "set_prio": "priority", "set_throttle": "throttle",
                   "set_custom": "custom", "flush": "save"}  # fmt: skip
_NAMES: Final = (*_PLAIN, "ignore", "unignore", *_WITH_VALUE)
_CLEANUP: Final = "deletes data: use a clean-up job instead (handler pyrotorque.jobs.cleanup:Cleanup, docs/cleanup.md)"
_UNSUPPORTED: Final = {"cull": _CLEANUP, "purge": _CLEANUP}
_REANNOUNCE_MAX: Final = 20
_INTERVAL_MIN: Final = 300  # seconds; the least that rTorrent itself keeps
_TIMES: Final = ("t.is_enabled=", "t.activity_time_last=", "t.min_interval=")


class Action(ItemJob):
    """`action` names the action; `value` (or pyrosimple's `args`) is a template over the item's fields."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        name = require_text(config, "action").lower()
        self.action = _ALIASES.get(name, name)
        if self.action not in _NAMES:
            reason = _UNSUPPORTED.get(name, f"is not one of {', '.join(_NAMES)}")
            raise UserError(f"job.{self.name}.action: {printable(name)} {reason}")
        self._value = compile_text(get_text(config, "value", "args"))
        if self.action in _WITH_VALUE and not get_text(config, "value", "args"):
            raise UserError(f"job.{self.name}.value is not set: action {self.action} needs it")
        self.needed = self.check_fields(self._value.fields - {"job_name"}) | {"tagged", "is_active", "throttle"}
        if self.action in _BY_STATE or self._value.fields - {"job_name"}:
            self.fresh_for = 0.0
        accepted = get_text(config, "erased_handler") or "refuse"
        if accepted not in ("refuse", "accept"):
            raise UserError(f"job.{self.name}.erased_handler: expected refuse or accept, got {printable(accepted)!r}")
        self._accepts_erased_handler = accepted == "accept"
        self._announced = 0

    def run(self, event: Event | None = None) -> None:
        self._announced = 0
        self._require_kept_data()
        try:
            super().run(event)
        except SessionNotKnown as error:
            if event is not None:  # nothing repeats this run
                raise
            self.log.warning("nothing more is deleted: %s", error)

    def _require_kept_data(self) -> None:
        """`delete` promises to keep the data: raise UserError if rTorrent runs a program that may remove it."""
        if self.action == "delete" and not self._accepts_erased_handler:
            from pyrotorque.housekeeping.erased_handlers import erased_handler_refusal

            if refusal := erased_handler_refusal(self.rtorrent):
                raise UserError(f"no item is deleted: {refusal}")

    def _is_too_early(self, item: Item) -> bool:
        """Whether the item's trackers do not allow another announce yet, which rTorrent itself would not prevent."""
        if not item["is_active"] or self._announced >= _REANNOUNCE_MAX:
            return True
        rows = self.rtorrent.call("t.multicall", str(item["hash"]), "", *_TIMES)
        now = time.time()
        enabled = [row for row in rows if isinstance(row, list) and row[0]] if isinstance(rows, list) else []
        return not enabled or any(now - int(str(row[1])) < max(int(str(row[2])), _INTERVAL_MIN) for row in enabled)

    def run_item(self, item: Item) -> None:
        value = self._value.render({**{name: item[name] for name in self.needed}, "job_name": self.name})
        shown = f"{self.action} {value}".strip()
        if self.action == "reannounce" and self._is_too_early(item):
            return
        calls = [(method, (str(item["hash"]), *params)) for method, params in self.calls(item, value)]
        if not calls:  # it is so already
            return
        self._announced += self.action == "reannounce"
        if self.dry_run:
            self.log.info("would %s: %s", printable(shown), printable(str(item["name"])))
            return
        if self.action in ("tag", "untag") and self.rtorrent.text(item["hash"], _TAGS).form is not Form.EXACT:
            raise UserError("rTorrent prints its tags altered, so they cannot be written back")
        if self.action == "delete":
            self._prepare_erasure(str(item["hash"]))
        # In one request: rTorrent does all of it or nothing, also if it hangs, or if this process is killed.
        for answer in self.rtorrent.multicall(calls):
            if isinstance(answer, RTorrentFault):
                raise answer
        self.log.info("%s: %s", printable(shown), printable(str(item["name"])))

    def _prepare_erasure(self, info_hash: str) -> None:
        """Raises SessionNotKnown, or UserError, if the item may not be erased now."""
        from pyrotorque.housekeeping.tied_files import cut_foreign_tie

        self._require_kept_data()  # a handler may have been set since the run began
        self.require_known_rtorrent()
        cut_foreign_tie(self.rtorrent, info_hash)

    def calls(self, item: Item, value: str) -> list[RTorrentCall]:
        """The rTorrent commands for this action; raises UserError for an invalid value."""
        match self.action:
            case "ignore" | "unignore":
                return [("d.ignore_commands.set", (int(self.action == "ignore"),))]
            case "priority":
                if value not in ("0", "1", "2", "3"):
                    raise UserError(f"the priority must be 0, 1, 2 or 3, not {value!r}")
                return [("d.priority.set", (int(value),)), ("d.update_priorities", ())]
            case "throttle":
                wanted = "" if value.upper() == "NONE" else value
                if wanted == ("" if item["throttle"] == "NONE" else item["throttle"]):
                    return []
                change: RTorrentCall = ("d.throttle_name.set", (wanted,))
                # rTorrent changes the throttle of an item only while it is not active.
                return [("d.stop", ()), change, ("d.start", ())] if item["is_active"] else [change]
            case "custom":
                key, equals, text = value.partition("=")
                if not equals:
                    raise UserError(f"expected KEY=TEXT for action custom, got {value!r}")
                return [("d.custom.set", (key.strip(), text))]
            case "tag" | "untag":
                return [("d.custom.set", ("tags", _tags(item["tagged"], value, self.action == "tag")))]
            case _:
                return [(method, ()) for method in _PLAIN[self.action]]


def _tags(before: Any, value: str, wanted: bool) -> str:
    words = set(value.lower().split())
    return " ".join(sorted(set(before) | words if wanted else set(before) - words))
