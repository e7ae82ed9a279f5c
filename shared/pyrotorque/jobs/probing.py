"""Shim for `pyrotorque.workers.trial`: running processes of 1.0.0 import this module late; remove with 2.0."""

from pyrotorque.workers.trial import complaints, run_alone

__all__ = ["complaints", "run_alone"]
