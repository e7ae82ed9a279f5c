"""Recognizes calls that change something: they are not repeated, as an unanswered call may have been carried out."""

import re
from collections.abc import Sequence
from typing import Final

from pyrotorque.rtorrent.xml import Param


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# First parts of such commands (`load.raw_start`, `execute2`, `remove_untied`).
_FAMILIES: Final = _names(
    "load execute execute2 method schedule schedule2 import print log event start stop close remove on branch"
)
# Words at the start of any part (`d.custom.set`, `view.sort_new`, `d.try_start`).
_VERBS: Final = _names(
    "set insert push remove erase add added enable disable toggle clear reset save delete create update try import "
    "shutdown disconnect filter sort persistent event redirect send unset append prune prioritize unfocus"
)
_DOWNLOAD_VERBS: Final = _names("start stop open close pause resume check_hash initialize initialize_logs")
_OTHERS: Final = _names(
    "throttle.up throttle.down d.tracker_announce d.tracker_announce.force ipv4_filter.load "
    "network.scgi.open_local network.scgi.open_port"
)
# Names without a dot are mostly setters from old configurations (`port_range`, `max_uploads`), except these.
_PLAIN_READS: Final = _names("cat download_list and or not less greater equal match compare value true false")
_COMMAND_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")


def changes_something(method: str, params: Sequence[Param] = ()) -> bool:
    """Whether `method`, or a command in its parameters (multicall), changes something; in doubt True."""
    if _is_effect(method):
        return True
    if "multicall" not in method:
        return False
    texts = (param for param in params if isinstance(param, str))
    return any(_is_effect(name) for text in texts for name in _COMMAND_NAME.findall(text) if "." in name)


def _is_effect(command: str) -> bool:
    parts = command.split(".")
    if len(parts) == 1:
        return command not in _PLAIN_READS
    if parts[0].partition("_")[0] in _FAMILIES or command in _OTHERS:
        return True
    if parts[0] == "d" and len(parts) > 1 and parts[1] in _DOWNLOAD_VERBS:
        return True
    return any(part.partition("_")[0] in _VERBS for part in parts)
