"""In: words of the program. Out: the same in the reader's language."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _


def name_reason(reason: str) -> str:
    """The reason of a quarantine in the reader's language; a word we have no sentence for as it
    is."""
    words = {
        "empty": _("the body is empty"),
        "not_json": _("not JSON"),
        "not_object": _("JSON, but no object"),
        "too_deep": _("nested too deep"),
        "too_large": _("too large once unpacked"),
        "unknown_shape": _("no kind of push looks like this"),
        "no_call_id": _("names no call"),
        "no_agent": _("names no agent"),
        "bad_address": _("the address of the recording cannot be used"),
        "foreign_account": _("belongs to another account"),
        "parser_failed": _("our own reading of it failed"),
        "failed": _("failed at every try"),
        "kills_worker": _("the worker died at every try"),
        "request": _("a question of the platform"),
    }
    return words.get(reason, reason)


def name_event(name: str) -> str:
    """What an event is about, by the name of its class; a name we have no words for in words of
    its own."""
    words = {
        "CallProgressed": _("How far a call is"),
        "CallEnded": _("A call and its result"),
        "RecordingReady": _("A recording"),
        "DialogReady": _("A dialog"),
        "TaskChanged": _("A task"),
        "PushClaimed": _("A push that the platform can be asked about"),
        "AgentChanged": _("An agent"),
        "AccountSeen": _("The account at the platform"),
    }
    return words.get(name) or re.sub(r"(?<=.)([A-Z])", r" \1", name)
