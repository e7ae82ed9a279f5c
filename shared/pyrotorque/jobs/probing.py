"""Shim: processes of 1.0.0 that are still running import this module late; see `pyrotorque.workers.trial`."""

from pyrotorque.workers.trial import complaints, run_alone

__all__ = ["complaints", "run_alone"]
