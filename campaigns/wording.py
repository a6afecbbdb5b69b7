"""In: what is kept in English, or as a name. Out: the same in the language of who reads it."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext, gettext_lazy, gettext_noop, pgettext_lazy

_NUMBER = re.compile(r"-?\d+")

#: the errors that an exchange may end with
OUTCOMES = {
    "NotSent": gettext_lazy("not sent"),
    "RightLost": gettext_lazy("stopped before it was sent"),
    "Forbidden": gettext_lazy("address not allowed"),
    "Throttled": gettext_lazy("platform busy"),
    "Uncertain": gettext_lazy("no usable answer"),
}
#: what a transport says of a request whose end it does not know; "{}" is the name of an error, a
#: number, or what an answer lacks
FAULTS = (
    gettext_noop("Nothing was sent ({})."),
    gettext_noop("The request was sent and no answer came whole ({})."),
    gettext_noop("The request was sent and no answer came in time."),
    gettext_noop("The deadline passed before anything was written."),
    gettext_noop("The name of the host was not resolved in time."),
    gettext_noop("The platform answered HTTP {}."),
    gettext_noop("The platform's answer is not the documented one: {}"),
    gettext_noop("The platform answered with an undocumented code: {}"),
)
_FAULTS = [
    (re.compile(re.escape(one).replace(re.escape("{}"), "(.+)"), re.DOTALL), one) for one in FAULTS
]
#: the groups of ``campaigns.roles``; in the database they keep these names
ROLE_NAMES = {
    "viewer": pgettext_lazy("group", "viewer"),
    "operator": pgettext_lazy("group", "operator"),
    "manager": pgettext_lazy("group", "manager"),
    "admin": pgettext_lazy("group", "admin"),
}
#: what Django's own permissions allow
ACTIONS = {
    "add": gettext_lazy("Can add"),
    "change": gettext_lazy("Can change"),
    "delete": gettext_lazy("Can delete"),
    "view": gettext_lazy("Can view"),
}

#: the values that settings of accounts can be chosen from
CHOICES = {
    "off": pgettext_lazy("setting", "off"),
    "on": pgettext_lazy("setting", "on"),
    "never": pgettext_lazy("setting", "never"),
    "sample": pgettext_lazy("setting", "a sample, one in ten"),
    "always": pgettext_lazy("setting", "always"),
}
#: what platforms let us do, for people
ABILITIES = {
    "synchronise": gettext_lazy("mirror robots, lines and voices"),
    "create_task": gettext_lazy("create tasks"),
    "pause_task": gettext_lazy("pause tasks"),
    "delete_task": gettext_lazy("delete tasks"),
    "query_tasks": gettext_lazy("ask how tasks stand"),
    "call_directly": gettext_lazy("call numbers directly"),
    "list_failed_pushes": gettext_lazy("list pushes that failed"),
    "fill_instances": gettext_lazy("hand contacts over"),
    "find_contacts": gettext_lazy("ask where a contact is"),
    "fetch_calls": gettext_lazy("ask for the calls of a task"),
    "verify_pushes": gettext_lazy("verify pushes"),
}


def tell_choice(choice: str) -> str:
    """A value of a setting; one that nobody described as it is."""
    return str(CHOICES.get(choice, choice))


def tell_ability(ability: str) -> str:
    return str(ABILITIES.get(ability, ability))


def tell_problem(why: str) -> str:
    """Why a field could not be used. The catalogue has ``{}`` where the text has its numbers."""
    told = gettext(why) if why else ""
    if told != why:
        return told
    numbers = _NUMBER.findall(why)
    pattern = _NUMBER.sub("{}", why)
    told = gettext(pattern) if numbers else why
    return told.format(*numbers) if told != pattern else why


def tell_fault(fault: str) -> str:
    """What the transport saw, what it names itself as it is; a fault that nobody listed as well."""
    for pattern, text in _FAULTS:
        if told := pattern.fullmatch(fault):
            return gettext(text).format(*told.groups())
    return fault


def tell_outcome(outcome: str) -> str:
    """What went wrong with an exchange; the name of an error that nobody described as it is."""
    return str(OUTCOMES.get(outcome, outcome))


def tell_group(group: Any) -> str:
    """The name of a group; one that somebody made here as it was named."""
    return str(ROLE_NAMES.get(group.name, group.name))


def tell_permission(permission: Any) -> str:
    """Application | model | what it allows, as Django writes it, but in the reader's language."""
    kind = permission.content_type
    action, _, model = permission.codename.partition("_")
    known = action in ACTIONS and model == kind.model
    what = ACTIONS[action] if known else gettext(permission.name)
    return f"{kind} | {what}"
