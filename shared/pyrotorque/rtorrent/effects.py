"""Which calls change something: those are never repeated, because an unanswered one may have been carried out."""

import re
from collections.abc import Sequence

from pyrotorque.rtorrent.xml import Param

_EFFECT = re.compile(
    r"""(?x)
      (?: load | execute | method | schedule | import | try_import | print | log | event | choke_group ) (?: [._2].* )?
    | system \. (?: shutdown | daemon | cwd | umask | env ) \b .*
    | session \. save
    | view \. (?: add | set | filter | sort | event | persistent ) .*
    | d \. (?: start | stop | open | close | pause | resume | erase | try_ | check_hash | save | delete | create
             | update | add_peer | initialize | disconnect | tracker | tracker_announce | tracker_numwant ) \b .*
    | d \. (?: try_ | save_ | delete_ | create_ | update_ | tracker_ ) .*
    | [dfpt] \. (?: multicall .* )? \. (?: enable | disable | disconnect | banned )
    | .* \. (?: set | set_visible | set_not_visible | insert | insert_trackers | push_back | push_back_unique | remove
              | erase | enable | disable | toggle | add | clear | reset | open | open_local | open_port ) (?: \. .* )?
    """
)
_COMMAND_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")


def changes_something(method: str, params: Sequence[Param] = ()) -> bool:
    """Whether `method`, or a command that it is given to run for many things, has an effect."""
    if _EFFECT.fullmatch(method):
        return True
    if "multicall" not in method:
        return False
    texts = (param for param in params if isinstance(param, str))
    return any(_EFFECT.fullmatch(name) for text in texts for name in _COMMAND_NAME.findall(text) if "." in name)
