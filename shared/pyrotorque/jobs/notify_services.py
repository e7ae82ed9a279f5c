"""The addresses of a notification job: a webhook, or services of Apprise, with their priorities."""

from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.jobs.notify_message import PRIORITIES, Priority
from pyrotorque.text import printable

_NO_SERVICES: Final = frozenset(("ftp", "ftps", "file", "scgi", "http", "https"))
# Names or numbers of the priorities low, normal and high.
_APPRISE_PRIORITIES: Final = {
    **dict.fromkeys(("ntfy", "ntfys"), ("low", "default", "high")),
    **dict.fromkeys(("gotify", "gotifys"), ("low", "normal", "high")),
    **dict.fromkeys(("pover", "prowl"), ("low", "normal", "high")),
}


def split_addresses(text: str, job: str) -> tuple[str, list[str]]:
    """The webhook, or the addresses of Apprise."""
    urls = text.split()
    if len(urls) == 1 and text.startswith(("http://", "https://")):
        return text, []
    for url in urls:
        scheme, separator, rest = url.partition(":")
        known = separator and rest and scheme.isalnum() and scheme.lower() not in _NO_SERVICES
        if not known:
            raise UserError(
                f"job.{job}.url: expected http:// or https:// (one webhook), or addresses of Apprise such as "
                f"ntfy://topic, got {printable(scheme)}:"
            )
    return "", urls


def with_priority(url: str, priority: Priority) -> str:
    """The address with a priority, for services that have one and unless it has one."""
    values = _APPRISE_PRIORITIES.get(url.partition("://")[0].lower())
    if values is None or "priority=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}priority={values[PRIORITIES.index(priority)]}"
