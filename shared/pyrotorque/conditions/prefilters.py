"""The part of a condition that rTorrent answers itself, as a filter command for `d.multicall.filtered`."""

from pyrotorque.conditions.nodes import Node


def prefilter(node: Node, now: float) -> str:
    """A filter that passes every item for which `node` can hold at `now`; empty when nothing can be said cheaply."""
    del node, now
    return ""
