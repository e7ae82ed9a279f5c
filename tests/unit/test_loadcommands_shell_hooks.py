"""Finds hooks in an rtorrent.rc that insert a torrent's name into shell code."""

import pytest

from pyrotorque.loadcommands.shell_hooks import shell_hooks


@pytest.mark.parametrize(
    ("rc", "expected"),
    [
        ('execute = sh,-c,"mv $d.base_path= /done"', [(1, "d.base_path")]),
        ("# a comment\nexecute.nothrow = {sh,-c,$d.name=}", [(2, "d.name")]),
        ('method.set_key = event.x,mv,"execute=bash,-c,\\"echo $d.custom=targetdir\\""', [(1, "d.custom")]),
        ('execute2 = /bin/sh, -c, "x \\\n $d.custom1= y"', [(1, "d.custom1")]),
        ("execute.throw = sh,-c,(cat,\"mv \",(d.name))", [(1, "d.name")]),
        ('execute = sh,-c,"mv \\"$1\\" /done",sh,$d.base_path=', []),
        ("execute.throw = mv,-u,$d.base_path=,/done", []),
        ('# execute = sh,-c,"mv $d.base_path= /done"', []),
        ('execute = sh,-c,"date > /tmp/x"', []),
        ("", []),
    ],
)  # fmt: skip
def test_a_value_in_shell_code_is_found_with_its_line(rc: str, expected: list[tuple[int, str]]) -> None:
    assert list(shell_hooks(rc)) == expected
