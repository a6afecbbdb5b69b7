"""In: the parameters of a list's address. Out: the same rows, wherever they are wanted.

Lists, exports, bulk jobs, re-dials, samples and saved filters all take ``Criteria``: what somebody
saw in a list is what is exported, called again or put on the do-not-call list.

``read_criteria("calls", request.GET)`` checks every parameter and raises ``BadCriteria`` with a
sentence for one that is unknown or has no usable value: what is overlooked would choose too many.
"""

from campaigns.criteria.calls import CALL_CRITERIA
from campaigns.criteria.contacts import CONTACT_CRITERIA
from campaigns.criteria.reading import (
    CALLS,
    CONTACTS,
    KINDS,
    Criteria,
    list_criteria,
    read_criteria,
)
from campaigns.criteria.search import list_regions, search_calls, search_contacts
from campaigns.criteria.values import BadCriteria, Criterion, quote_text, read_moment

__all__ = [
    "CALLS",
    "CALL_CRITERIA",
    "CONTACTS",
    "CONTACT_CRITERIA",
    "KINDS",
    "BadCriteria",
    "Criteria",
    "Criterion",
    "list_criteria",
    "list_regions",
    "quote_text",
    "read_criteria",
    "read_moment",
    "search_calls",
    "search_contacts",
]
