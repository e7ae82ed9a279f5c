"""Makes the commands that are given with a load: whatever a template inserts into them stays data in rTorrent."""

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
