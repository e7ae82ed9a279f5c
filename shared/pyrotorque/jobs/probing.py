"""Shim for `pyrotorque.workers.trial`: running processes of 1.0.0 import this module late; remove with 2.0."""

from collections.abc import Iterable
from dataclasses import dataclass

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.workers.trial import creation_problems
from pyrotorque.workers.trial import run_job_once as run_alone

__all__ = ["complaints", "run_alone"]


@dataclass(frozen=True)
class Complaint:
    text: str
    configured_wrong: bool


def complaints(jobs: Iterable[CustomSettings], settings: Settings, layout: Layout) -> dict[str, Complaint]:
    found = creation_problems(jobs, settings, layout)
    return {name: Complaint(each.text, each.config_error) for name, each in found.items() if not each.misread}
