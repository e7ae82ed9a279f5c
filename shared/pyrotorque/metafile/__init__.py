"""Reads untrusted metafiles and magnet links: bounded, and rejecting invalid ones with a reason."""

from pyrotorque.metafile.magnet import Magnet, magnet, magnets
from pyrotorque.metafile.parser import MAX_SIZE, Metafile, read, take

__all__ = ["MAX_SIZE", "Magnet", "Metafile", "magnet", "magnets", "read", "take"]
