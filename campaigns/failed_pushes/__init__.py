"""In: the lists of pushes that a platform could not deliver. Out: the files of each day, fetched,
checked and open to be read into the inbox.

``days`` asks for the list of each of the last days, ``files`` fetches what is on it, ``unpacking``
opens it within bounds. Reading the pushes into the inbox is the inbox's own work
(``callbacks.catching_up``). Every step first claims its row with a lease, so that a killed worker's
work is taken up by another.
"""

from campaigns.failed_pushes.days import (
    ALARM_TRIES,
    CaughtUp,
    FailedPushRefused,
    ask_again,
    ask_day,
    dismiss_day,
    find_alarms,
    list_days,
    list_due_days,
    plan_days,
    summarise_day,
)
from campaigns.failed_pushes.files import (
    LOST_COPY,
    READING_LEASE,
    claim_reading,
    fetch_file,
    finish_reading,
    forget_copies,
    give_up_reading,
    interrupt_reading,
    list_due_files,
)
from campaigns.failed_pushes.unpacking import Archive, Refused, open_archive

__all__ = [
    "ALARM_TRIES",
    "LOST_COPY",
    "READING_LEASE",
    "Archive",
    "CaughtUp",
    "FailedPushRefused",
    "Refused",
    "ask_again",
    "ask_day",
    "claim_reading",
    "dismiss_day",
    "fetch_file",
    "find_alarms",
    "finish_reading",
    "forget_copies",
    "give_up_reading",
    "interrupt_reading",
    "list_days",
    "list_due_days",
    "list_due_files",
    "open_archive",
    "plan_days",
    "summarise_day",
]
