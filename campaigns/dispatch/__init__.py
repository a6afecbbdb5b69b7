"""In: a task and an operator's orders for it. Out: the platform has it, every outcome is kept.

``orders`` (an operator's word: launch, pause, resume, delete, call directly) → ``steps`` (create,
count, start), ``claims`` and ``batches`` (send) → ``setbacks`` (what a refusal means). Each step
says what comes next (``Next``); ``campaigns.jobs`` chains them.
"""

from campaigns.dispatch.batches import send_batch, send_batches
from campaigns.dispatch.claims import claim_batch, claim_batches, pick_most
from campaigns.dispatch.orders import (
    HELD_BARRED,
    LaunchRefused,
    LaunchStale,
    call_directly,
    check_launch,
    delete_task,
    launch_task,
    list_held_barred,
    list_idle_tasks,
    list_requested_tasks,
    pause_inactive,
    pause_task,
    resume_task,
)
from campaigns.dispatch.requests import carry_out_request
from campaigns.dispatch.setbacks import Next
from campaigns.dispatch.steps import advance_task, note_created
from campaigns.dispatch.stops import lift_stop, stop_account
from campaigns.dispatch.trials import call_for_trial

__all__ = [
    "HELD_BARRED",
    "LaunchRefused",
    "LaunchStale",
    "Next",
    "advance_task",
    "call_directly",
    "call_for_trial",
    "carry_out_request",
    "check_launch",
    "claim_batch",
    "claim_batches",
    "delete_task",
    "launch_task",
    "lift_stop",
    "list_held_barred",
    "list_idle_tasks",
    "list_requested_tasks",
    "note_created",
    "pause_inactive",
    "pause_task",
    "pick_most",
    "resume_task",
    "send_batch",
    "send_batches",
    "stop_account",
]
