"""Hooks of a user's rtorrent.rc: those that hand a torrent's name to a shell as text are told."""

import pytest

from pyrotorque.loadcommands.shell_hooks import shell_hooks


@pytest.mark.parametrize(
    ("rc", "told"),
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
def test_a_value_in_a_shells_text_is_told_with_its_line(rc: str, told: list[tuple[int, str]]) -> None:
    assert list(shell_hooks(rc)) == told
