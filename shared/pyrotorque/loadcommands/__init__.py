"""Builds the commands of a load: values that templates insert into them stay data in rTorrent."""

from pyrotorque.loadcommands.command import (
    LoadCommand,
    ValueCommand,
    compile_command,
    compile_value,
    quoted,
    setting,
    tie,
)

__all__ = ["LoadCommand", "ValueCommand", "compile_command", "compile_value", "quoted", "setting", "tie"]
