"""Builds the commands of a load: values that templates insert into them stay data in rTorrent."""

from pyrotorque.loadcommands.command import (
    LoadCommand,
    StorageCommand,
    ValueCommand,
    compile_command,
    compile_value,
    quoted,
    setting,
    storage_commands,
    tie,
    written_arguments,
)

__all__ = [
    "LoadCommand",
    "StorageCommand",
    "ValueCommand",
    "compile_command",
    "compile_value",
    "quoted",
    "setting",
    "storage_commands",
    "tie",
    "written_arguments",
]
