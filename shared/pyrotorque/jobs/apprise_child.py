"""Sends one notification with Apprise and ends: imported, Apprise needs 31 MiB, which no service keeps.

Standard input is a JSON object with `urls`, `title`, `body` and `type`: the addresses contain secrets, and other users
can read the arguments of a process.
"""

import json
import logging
import sys
from typing import Any

FAILED = 1
NO_SUCH_SERVICE = 2


def main() -> int:
    """0 if every service accepted the message."""
    import apprise

    given: dict[str, Any] = json.load(sys.stdin)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    sender = apprise.Apprise()
    for url in given["urls"]:
        if not sender.add(url):
            print(f"{url.partition(':')[0]}: Apprise does not understand this address")
            return NO_SUCH_SERVICE
    sent = sender.notify(body=given["body"], title=given["title"], notify_type=given["type"])
    return 0 if sent else FAILED


if __name__ == "__main__":
    sys.exit(main())
