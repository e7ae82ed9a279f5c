"""Names where hashes are accepted, completion of the names of jobs, the man page, and colours of errors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyrotorque_control.group import CommandError
from pyrotorque_control.item_choice import matching_item
from tests.exporter_process import REPOSITORY

ITEMS = [("A" * 40, "Debian 12"), ("B" * 40, "Debian 12 netinst"), ("C" * 40, "Ubuntu\x1b[2J")]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("debian 12", "A" * 40), ("netinst", "B" * 40), ("UBUNTU", "C" * 40)],
)
def test_an_item_is_found_by_its_name_or_a_part_of_it(text: str, chosen: str) -> None:
    assert matching_item(ITEMS, text) == chosen


@pytest.mark.parametrize("text", ["fedora", "", "  "])
def test_no_item_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError, match="no item") as raised:
        matching_item(ITEMS, text)
    assert raised.value.exit_code == 64


def test_several_items_are_listed_and_none_is_chosen() -> None:
    with pytest.raises(CommandError, match="2 items match 'deb'") as raised:
        matching_item(ITEMS, "deb")
    assert "A" * 40 in str(raised.value)
    with pytest.raises(CommandError, match=r"and 5 more"):
        matching_item([(f"{number:040X}", f"item {number}") for number in range(10)], "item")


def test_a_name_cannot_control_the_terminal() -> None:
    with pytest.raises(CommandError) as raised:
        matching_item([*ITEMS, ("D" * 40, "Ubuntu 2")], "ubuntu")
    assert "\x1b" not in str(raised.value)


def completed(home: Path, words: str) -> list[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYRO_CONFIG_DIR": str(home),
        "_PYROTORQUE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"pyrotorque {words}",
        "COMP_CWORD": str(len(words.split(" "))),
    }
    code = "from pyrotorque_control.cli import pyrotorque; pyrotorque(prog_name='pyrotorque')"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
    return [line.partition(",")[2] for line in ended.stdout.splitlines() if "," in line]


def test_the_shell_completes_commands_and_names_of_jobs(tmp_path: Path) -> None:
    (tmp_path / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi:///nowhere/x\njob.queue.active = True\n")
    assert completed(tmp_path, "pau") == ["pause"]
    assert completed(tmp_path, "pause ") == []
    from pyrotorque import configuration
    from pyrotorque.options import Options

    found = configuration.read(tmp_path, Options())
    found.layout.prepare()
    configuration.adopt(found)
    assert "queue" in completed(tmp_path, "pause ")
    assert completed(tmp_path, "pause qu") == ["queue"]


def test_the_man_page_is_made_of_known_macros_and_has_every_command() -> None:
    text = (REPOSITORY / "docs" / "pyrotorque.1").read_text()
    macros = set(re.findall(r"^\.(\w+)", text, re.MULTILINE))
    assert macros <= {"TH", "SH", "SS", "B", "BR", "I", "TP", "nf", "fi"}
    for name in ("status", "retry", "explain", "park"):
        assert f".SS pyrotorque {name}" in text
    assert not re.search(r"(?<!\\)-", re.sub(r"^\.TH.*$", "", text, flags=re.MULTILINE).replace("\\-", ""))
