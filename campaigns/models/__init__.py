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
from campaigns.models.calls import Call, Recording, Turn
from campaigns.models.history import StatusChange
from campaigns.models.tasks import Attempt, Batch, Contact, ContactImport, Task

__all__ = [
    "Account",
    "AccountToken",
    "Attempt",
    "Batch",
    "Call",
    "CallbackToken",
    "Contact",
    "ContactImport",
    "Exchange",
    "Line",
    "Recording",
    "Robot",
    "StatusChange",
    "Task",
    "Turn",
    "Voice",
]
