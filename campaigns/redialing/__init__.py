"""In: criteria of calls or contacts. Out: a new draft with whoever of them may be called again.

``judging`` (who is chosen, and why the others are not) → ``steps`` (begun, counted, confirmed,
made: each a click or a job) → ``making`` (the draft). ``staying`` asks again at the launch.
"""

from campaigns.redialing.judging import REASONS, Judged
from campaigns.redialing.making import make_redial
from campaigns.redialing.staying import exclude_changed
from campaigns.redialing.steps import (
    RedialRefused,
    begin_redial,
    cancel_redial,
    confirm_redial,
    count_again,
    count_redial,
    list_lineage,
    list_redial_columns,
    read_chosen,
    settle_redials,
    stamp_of,
    work_on,
)

__all__ = [
    "REASONS",
    "Judged",
    "RedialRefused",
    "begin_redial",
    "cancel_redial",
    "confirm_redial",
    "count_again",
    "count_redial",
    "exclude_changed",
    "list_lineage",
    "list_redial_columns",
    "make_redial",
    "read_chosen",
    "settle_redials",
    "stamp_of",
    "work_on",
]
