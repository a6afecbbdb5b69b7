"""In: who said no, and how often a number was called. Out: nobody is called who must not be.

``entries`` (the list: bar, lift, look up) → ``gate`` (the list and the account's frequency cap held
against contacts that are about to leave) and ``rules`` (a call's intention that bars its number).
Everything here is in normal form (``phones.normalise_phone``); an entry holds for one account, or
for all of them, until it is lifted or has expired.
"""

from campaigns.barring.entries import (
    BARRED_SQL,
    Barred,
    bar_many,
    bar_number,
    find_barred,
    is_normal,
    lift_bar,
    lift_list,
    select_barred,
)
from campaigns.barring.gate import (
    BARRED,
    BARRED_CONTACT_SQL,
    CALLED_SQL,
    CAPPED,
    exclude_barred,
    find_capped,
    has_barred,
    has_capped,
    lock_cap,
    make_called_sql,
    make_over_cap_sql,
    only_free,
)
from campaigns.barring.rules import apply_rules

__all__ = [
    "BARRED",
    "BARRED_CONTACT_SQL",
    "BARRED_SQL",
    "CALLED_SQL",
    "CAPPED",
    "Barred",
    "apply_rules",
    "bar_many",
    "bar_number",
    "exclude_barred",
    "find_barred",
    "find_capped",
    "has_barred",
    "has_capped",
    "is_normal",
    "lift_bar",
    "lift_list",
    "lock_cap",
    "make_called_sql",
    "make_over_cap_sql",
    "only_free",
    "select_barred",
]
