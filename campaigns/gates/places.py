"""In: a number in its normal form. Out: where it may ring: its country, every zone it may be in.

Of a mobile of a large country nobody knows the zone: then it is in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import phonenumbers
from phonenumbers import timezone as number_zones

from campaigns.models import Account, Contact

CHINA, CHINAS_ZONE = "CN", "Asia/Shanghai"
_UNKNOWN = "Etc/Unknown"


class Place(NamedTuple):
    """``zones`` is empty where nothing is known of the number."""

    country: str
    zones: tuple[str, ...]


#: what a batch keeps of the places of its numbers: [[country, [zone, …]], …]
Stored = list[list[Any]]


def locate_phone(phone: str) -> Place:
    """Where the number may be. Without a + it is one of China, as ``phones`` writes them."""
    return _locate_foreign(phone) if phone.startswith("+") else Place(CHINA, (CHINAS_ZONE,))


@lru_cache(maxsize=65536)
def _locate_foreign(phone: str) -> Place:
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return Place("", ())
    country = phonenumbers.region_code_for_number(number) or ""
    zones = tuple(zone for zone in number_zones.time_zones_for_number(number) if zone != _UNKNOWN)
    return Place(country if country in phonenumbers.SUPPORTED_REGIONS else "", zones)


def is_home(account: Account, place: Place) -> bool:
    """Whether the account's own hours say all about the place, or nothing is known of it."""
    if not place.zones and not place.country:
        return True
    at_home = place.zones in ((account.time_zone,), ())
    return at_home and place.country in (account.region, "")


def locate_abroad(account: Account, contacts: Any) -> dict[int, Place]:
    """The place of each of the contacts (a query) that is not at home, by id."""
    rows = keep_foreign(account, contacts).values_list("id", "phone")
    places = {pk: locate_phone(phone) for pk, phone in rows.iterator()}
    return {pk: place for pk, place in places.items() if not is_home(account, place)}


def keep_foreign(account: Account, contacts: Any) -> Any:
    """Of a query of contacts those whose number may be of elsewhere, by its spelling alone."""
    if (account.region, account.time_zone) == (CHINA, CHINAS_ZONE):
        return contacts.filter(phone__startswith="+")
    return contacts


def store_places(places: Iterable[Place]) -> Stored:
    return [[country, list(zones)] for country, zones in sorted(set(places))]


def read_places(stored: Stored) -> tuple[Place, ...]:
    return tuple(Place(country, tuple(zones)) for country, zones in stored)


def locate_batch(account: Account, batch_id: int) -> Stored:
    """The places abroad of a batch that were not looked at when it was planned."""
    contacts = Contact.objects.filter(batch=batch_id)
    return store_places(locate_abroad(account, contacts).values())
