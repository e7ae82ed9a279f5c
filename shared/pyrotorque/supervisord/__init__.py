"""Everything about supervisord: its XML-RPC client, the configuration files written for it, and how it is started."""

from pyrotorque.supervisord.client import ALREADY_STARTED, Process, Supervisord, SupervisordError, SupervisordFault

__all__ = ["ALREADY_STARTED", "Process", "Supervisord", "SupervisordError", "SupervisordFault"]
