"""In: nothing. Out: every model of the outbound side and of the results, by name."""

from campaigns.models.accounts import (
    Account,
    AccountToken,
    CallbackToken,
    Exchange,
    Line,
    Robot,
    Voice,
)
from campaigns.models.agents import Agent, AgentEvent
from campaigns.models.calls import Call, Recording, Turn, Verification
from campaigns.models.history import StatusChange
from campaigns.models.tasks import Attempt, Batch, Contact, ContactImport, Instance, Task

__all__ = [
    "Account",
    "AccountToken",
    "Agent",
    "AgentEvent",
    "Attempt",
    "Batch",
    "Call",
    "CallbackToken",
    "Contact",
    "ContactImport",
    "Exchange",
    "Instance",
    "Line",
    "Recording",
    "Robot",
    "StatusChange",
    "Task",
    "Turn",
    "Verification",
    "Voice",
]
