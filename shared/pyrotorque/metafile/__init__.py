"""Reads untrusted metafiles and magnet links: bounded, and rejecting invalid ones with a reason."""

from pyrotorque.metafile.magnet import Magnet, MagnetLinks, magnet, magnet_links
from pyrotorque.metafile.parser import MAX_SIZE, Metafile, read, take, torrent_in

__all__ = ["MAX_SIZE", "Magnet", "MagnetLinks", "Metafile", "magnet", "magnet_links", "read", "take", "torrent_in"]
