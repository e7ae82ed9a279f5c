"""Makes the commands that are given with a load: whatever a template inserts into them stays data in rTorrent."""

from pyrotorque.loadcommands.command import LoadCommand, compile_command, setting, tie
from pyrotorque.loadcommands.quoting import quoted

__all__ = ["LoadCommand", "compile_command", "quoted", "setting", "tie"]
