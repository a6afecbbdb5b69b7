"""In: what somebody typed into the search box. Out: the rows it means, each found by an index.

A phone number is found in whatever form it was typed: with its country, with dashes, with or
without the zero, in full-width digits.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from campaigns.models import Account
from campaigns.phones import search_forms


def list_regions() -> list[str]:
    """The regions of the accounts, whose numbers somebody may look for without a country."""
    return ["CN", *Account.objects.exclude(region="CN").values_list("region", flat=True).distinct()]


def search_calls(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Calls from or to a number, or with an id of the platform; else those with a relation id."""
    numbers = [text, *search_forms(text, regions=list_regions())]
    found = rows.filter(
        # the index begins with the account
        Q(account__in=list(Account.objects.values_list("pk", flat=True)), platform_call_id=text)
        | Q(callee__in=numbers)
        | Q(caller__in=numbers)
    )
    return found if found.order_by().exists() else rows.filter(relation_id=text)


def search_contacts(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Contacts with a number, or with an id of the platform."""
    accounts = list(Account.objects.values_list("pk", flat=True))
    return rows.filter(
        Q(phone__in=[text, *search_forms(text, regions=list_regions())])
        # the index begins with the account
        | Q(account__in=accounts, platform_contact_id=text)
    )
