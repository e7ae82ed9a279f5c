"""Libraries are imported without modules that no service uses, and nothing else notices."""

import subprocess
import sys

import pytest

from pyrotorque.light_imports import placeholders


def test_an_import_in_the_block_gets_a_placeholder_and_a_later_one_the_module() -> None:
    sys.modules.pop("this_is_absent", None)
    with placeholders("this_is_absent", also_absent={"number": 3}):
        import this_is_absent  # type: ignore[import-not-found]

        assert sys.modules["also.absent"].__dict__["number"] == 3

        class Derived(this_is_absent.Base):  # type: ignore[misc]
            pass

        assert Derived()
    assert not {"this_is_absent", "also.absent"} & set(sys.modules)


def test_a_module_that_is_loaded_stays_as_it_is() -> None:
    import json

    with placeholders("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


def test_an_import_of_an_absent_module_fails_in_the_block_only() -> None:
    sys.modules.pop("colorsys", None)
    with placeholders(absent=["colorsys"]), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys.rgb_to_hsv(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)


def test_it_ends_with_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), placeholders("this_is_absent"):
        _ = 1 / 0
    assert "this_is_absent" not in sys.modules


@pytest.mark.parametrize(
    ("service", "unused"),
    [
        ("exporter", "ssl http.server urllib.request wsgiref.simple_server asyncio hashlib"),
        ("scheduler", "ssl asyncio importlib.metadata email.message hashlib regex"),
        ("watcher", "ssl asyncio importlib.metadata email.message apscheduler prometheus_client"),
        ("guardian", "ssl asyncio importlib.metadata email.message apscheduler prometheus_client lark jinja2 hashlib"),
    ],
)
def test_a_service_does_not_load_what_it_does_not_use(service: str, unused: str) -> None:
    """Memory: benchmarks/idle.py holds the figure."""
    code = f"import sys, pyrotorque_{service}.service; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(unused.split()) & set(loaded)
    # What was hidden from a library can be imported afterwards.
    check = f"import pyrotorque_{service}.service, asyncio, ssl, http.server; http.server.HTTPServer, ssl.SSLContext"
    check += "; asyncio.run, asyncio.iscoroutinefunction"
    subprocess.run([sys.executable, "-c", check], check=True)
