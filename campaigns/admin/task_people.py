"""In: the people of a task or a family, counted. Out: the funnel of them, with what can be done
about those who got no further, for so many."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns import figures
from campaigns.admin.row_links import link_redial, link_rows
from campaigns.definitions import rate, show_number, show_rate
from campaigns.funnels import PEOPLE_STEPS

REDIAL = "campaigns.add_redial"
#: words of intentions that a page shows
MOST_INTENTIONS = 12
#: steps after which those who got no further can be called again
CALL_AGAIN_AFTER = ("called", "reached")


def make_people_steps(
    people: figures.People,
    *,
    rows_of_files: int | None,
    imports_url: str,
    may_redial: bool,
    of: dict[str, Any],
) -> list[dict[str, Any]]:
    """From the rows of the files to those who talked; people, and the contacts they stand in."""
    widest = max(people.people["listed"], rows_of_files or 0, 1)
    steps: list[dict[str, Any]] = []
    if rows_of_files is not None:
        steps.append(
            {
                "slug": "rows",
                "name": _("Rows of the files"),
                "text": _("All rows that were read, those that were refused too."),
                "number": show_number(rows_of_files),
                "url": imports_url,
                "width": round(100 * rows_of_files / widest, 1),
                "share": "",
                "lost": None,
            }
        )
    before: str | None = None
    for step in PEOPLE_STEPS:
        number, contacts = people.people[step.slug], people.rows[step.slug]
        lost = people.rows[before] - contacts if before else 0
        again = before in CALL_AGAIN_AFTER and lost > 0 and may_redial
        chosen = {**of, "step": before, "short_of": step.slug}
        steps.append(
            {
                "slug": step.slug,
                "name": step.name,
                "text": step.text,
                "number": show_number(number),
                "url": link_rows("contacts", **of, step=step.slug),
                "note": tell_contacts(number, contacts),
                "width": round(100 * number / widest, 1),
                "share": show_rate(rate(number, people.people[before])) if before else "",
                "lost": show_number(lost) if lost else None,
                "lost_url": link_rows("contacts", **chosen),
                "again_url": link_redial("contacts", **chosen) if again else "",
                "again": tell_again(lost) if again else "",
            }
        )
        before = step.slug
    return steps


def tell_contacts(people: int, contacts: int) -> str:
    """Where somebody stands in the list more than once."""
    if people == contacts:
        return ""
    return ngettext("in %(n)s contact", "in %(n)s contacts", contacts) % {
        "n": show_number(contacts)
    }


def tell_again(number: int) -> str:
    return _("Call %(n)s again…") % {"n": show_number(number)}


def make_people_intentions(
    people: figures.People, *, may_redial: bool, of: dict[str, Any]
) -> list[dict[str, Any]]:
    """The intention of each person, as the contact's row has it."""
    called = people.people["reached"]
    return [
        {
            "name": word,
            "number": show_number(number),
            "url": link_rows("contacts", **of, step="reached", intention=word),
            "share": show_rate(rate(number, called)),
            "width": round(100 * number / max(people.people["listed"], 1), 1),
            "again_url": link_redial("contacts", **of, step="reached", intention=word)
            if may_redial
            else "",
            "again": tell_again(number),
        }
        for word, number in list(people.intentions.items())[:MOST_INTENTIONS]
    ]
