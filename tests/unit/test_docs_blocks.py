"""Every block on every page is executed, or gives the reason why not; here those that need no running group."""

import os
import re
import shlex
import sysconfig
import tomllib
from pathlib import Path

import click
import pytest

from pyrotorque import watchini
from pyrotorque.conditions import parse, parse_sort
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.rtorrent_rc import address_in
from pyrotorque.validation import check
from pyrotorque_control.cli import pyrotorque
from tests.docs_blocks import Block, blocks, fences, pages

# What these languages are, and who executes them.
EXECUTED = {"ini", "python", "condition", "sort", "toml", "rtorrent", "sh", "console", "nginx", "yaml"}
SHOWN_ONLY = {
    "text": "output of a program, or a picture",
    "mermaid": "a picture",
    "json": "output of a program",
}
# Folders of a made-up user, who is not here.
NOT_HERE = "the watcher waits for it"


def named(found: list[Block]) -> list[object]:
    return [pytest.param(block, id=block.name) for block in found]


def test_no_block_is_overlooked() -> None:
    assert len(blocks()) == fences()
    assert len(pages()) >= 12


@pytest.mark.parametrize("block", named(blocks()))
def test_each_block_has_a_language_that_a_test_runs_or_a_reason(block: Block) -> None:
    assert block.language in EXECUTED or block.language in SHOWN_ONLY, "say which language it is"
    assert block.not_run != "without a reason"


def test_what_is_not_run_is_this_and_nothing_more() -> None:
    counted: dict[str, int] = {}
    for block in blocks("sh", "console", "rtorrent", "ini", "python"):
        if block.not_run:
            counted[block.page] = counted.get(block.page, 0) + 1
    assert counted == NOT_RUN


# Number of blocks by page that are not run and give a reason; update it when you add one.
NOT_RUN = {
    "docs/fleet-setup.md": 4,
    "README.md": 3,
    "deploy/docker/README.md": 1,
    "docs/alerts.md": 1,
    "docs/backup.md": 2,
    "docs/howto.md": 7,
    "docs/logs.md": 1,
    "docs/migration.md": 1,
    "docs/panel.md": 3,
    "docs/quickstart.md": 4,
}


@pytest.mark.parametrize(
    "block", named([b for b in blocks("ini") if not b.not_run and not b.note.startswith("watch.ini")])
)
def test_a_configuration_passes_all_checks(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    # Where pyrotorque is installed, which jobs may run.
    monkeypatch.setenv("PATH", f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    if block.note.startswith("files: "):
        file = tmp_path / block.note.split()[1]
        file.parent.mkdir(parents=True)
        file.write_text(block.before)
    text = block.text if re.search(r"^\[\w+\]", block.text, re.MULTILINE) else f"[TORQUE]\n{block.text}"
    (tmp_path / "torque.ini").write_text(text)
    loaded = load(tmp_path, Options())
    problems, warnings = check(loaded)
    assert [str(problem) for problem in problems] == []
    warned = [warning for warning in (*loaded.warnings, *warnings) if NOT_HERE not in warning.text]
    assert [str(warning) for warning in warned if not block.note.startswith("old")] == []


@pytest.mark.parametrize("block", named([b for b in blocks("ini") if b.note.startswith("watch.ini")]))
def test_a_watch_ini_is_one(block: Block) -> None:
    assert watchini.parse(block.text) != watchini.Overrides()


@pytest.mark.parametrize("block", named([b for b in blocks("python") if not b.not_run]))
def test_python_is_python(block: Block) -> None:
    compile(block.text, block.name, "exec")


@pytest.mark.parametrize("block", named(blocks("condition")))
def test_a_condition_is_one(block: Block) -> None:
    for line in block.text.splitlines():
        parse(line)


@pytest.mark.parametrize("block", named(blocks("sort")))
def test_a_sort_order_is_one(block: Block) -> None:
    for line in block.text.splitlines():
        assert parse_sort(line).fields


@pytest.mark.parametrize("block", named(blocks("toml")))
def test_toml_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", named([b for b in blocks("rtorrent") if "open_local" in b.text]))
def test_an_address_for_rtorrent_is_understood(block: Block) -> None:
    rc = f"session.path.set = ~/session\n{block.text}"
    nothing: dict[str, str] = {}
    assert address_in(rc, home="/home/me", environ=nothing, read=nothing.get) == "scgi:///home/me/session/rpc.socket"


def calls(found: list[Block]) -> list[tuple[str, list[str]]]:
    """Each call of `pyrotorque` in these blocks, with the name of its block."""
    lines = [(block.name, line) for block in found for line in block.text.replace("\\\n", " ").splitlines()]
    # A file is named that is nowhere here; this one is.
    there = [(name, re.sub(r"\S+\.torrent", __file__, line)) for name, line in lines]
    split = [(name, shlex.split(line, comments=True)) for name, line in there]
    return [(name, words) for name, words in split if words and words[0] == "pyrotorque"]


@pytest.mark.parametrize(("name", "words"), calls(blocks("sh", "console")))
def test_each_call_has_options_and_sub_commands_that_exist(name: str, words: list[str]) -> None:
    context = pyrotorque.make_context("pyrotorque", words[1:] or ["--status"])
    rest = [*context._protected_args, *context.args]  # pyright: ignore[reportPrivateUsage]
    if rest:
        command = pyrotorque.get_command(context, rest[0])
        assert command is not None
        command.make_context(rest[0], list(rest[1:]), parent=context, resilient_parsing=False)


def test_a_call_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(click.UsageError):
        test_each_call_has_options_and_sub_commands_that_exist("x", ["pyrotorque", "--sttaus"])
    with pytest.raises(click.UsageError):
        test_each_call_has_options_and_sub_commands_that_exist("x", ["pyrotorque", "explain", "--jib", "x"])
    with pytest.raises(click.UsageError):
        test_each_call_has_options_and_sub_commands_that_exist("x", ["pyrotorque", "explian"])
