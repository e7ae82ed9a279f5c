"""Open an HTTP answer that is closed on every path, also when its status is an error."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager

from demo.waiting import bound


@contextmanager
def opened(url: str, timeout: float = 10) -> Generator[http.client.HTTPResponse]:
    """The answer to a GET; raises HTTPError for a status of 400 or more, and OSError where nothing answers.

    An HTTPError is an open answer itself: Python 3.13 and later report one that is collected unclosed.
    """
    try:
        with urllib.request.urlopen(url, timeout=bound(timeout)) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        error.close()
        raise
