"""What people do to a running group: one function each, for the command, the panel and its API.

A function checks what it was given, has a service carry it out, and returns the answer. The service stores the event
`ActionTaken` with who did it, what, and the outcome, also when it refuses.
"""

from pyrotorque.actions.additions import add_magnet, add_metafile, folder_labels, watched_folders
from pyrotorque.actions.delivery import ACTOR, Actor, ask_service, record_action
from pyrotorque.actions.items import park_item, release_claim, required_hash, start_item, stop_item
from pyrotorque.actions.jobs import accept_rtorrent, pause_job, require_job, resume_job, run_job
from pyrotorque.actions.metafiles import forget_metafiles, retry_all_metafiles, retry_metafiles
from pyrotorque.actions.services import restart_service

__all__ = [
    "ACTOR",
    "Actor",
    "accept_rtorrent",
    "add_magnet",
    "add_metafile",
    "ask_service",
    "folder_labels",
    "forget_metafiles",
    "park_item",
    "pause_job",
    "record_action",
    "release_claim",
    "require_job",
    "required_hash",
    "restart_service",
    "resume_job",
    "retry_all_metafiles",
    "retry_metafiles",
    "run_job",
    "start_item",
    "stop_item",
    "watched_folders",
]
