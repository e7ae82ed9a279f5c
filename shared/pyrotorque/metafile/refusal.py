"""The error for content that only our limits or rTorrent's version refuse.

Not in `pyrotorque.errors`: a running 1.0.0 process has loaded that module, and imports this package after an upgrade.
"""

from pyrotorque.errors import MetafileError


class MetafileUnsupported(MetafileError):
    """It is not loaded, but may be a valid metafile: it exceeds a limit of ours, or needs more than rTorrent has."""
