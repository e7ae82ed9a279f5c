"""Reads metafiles and magnet links without trusting them: bounded, never crashing, and refusing with a reason."""

from pyrotorque.metafile.contents import MAX_SIZE, Metafile, read, take
from pyrotorque.metafile.magnet import Magnet, magnet, magnets

__all__ = ["MAX_SIZE", "Magnet", "Metafile", "magnet", "magnets", "read", "take"]
