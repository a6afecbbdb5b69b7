"""In: what is exported. Out: the columns of the file: where each comes from and how it is written.

The names are for programs and the same in every language; the headings are for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.db.models import Case, F, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext_lazy as _

from campaigns.criteria import CALLS, Criteria
from campaigns.models import Call, Contact, Task
from campaigns.platforms.registry import PLATFORMS


class Cell(Enum):
    """How a cell is written."""

    NUMBER = "number"
    #: a text that cannot look like a formula: a word of ours
    WORD = "word"
    TEXT = "text"
    PHONE = "phone"
    #: somebody else's name of a person, a call: some take the number itself for it
    KEY = "key"
    #: what people wrote: a number may stand in it
    FREE = "free"
    #: a sentence of ours with its values behind it: ``campaigns.exporting.cells`` tells it
    REASON = "reason"
    MOMENT = "moment"
    YES_NO = "yes_no"


@dataclass(frozen=True, slots=True)
class Column:
    """``source`` is a field, or an expression of Django; ``words`` say a code to a person."""

    name: str
    heading: Any
    source: Any
    cell: Cell
    words: Mapping[str, Any] | None = None
    #: the words stand in the file that programs read, too
    always: bool = False

    @property
    def expression(self) -> Any:
        return F(self.source) if isinstance(self.source, str) else self.source


def _words(choices: Any) -> dict[str, Any]:
    return {str(key): word for key, word in choices}


_PLATFORM_NAMES = {slug: platform.name for slug, platform in PLATFORMS.items()}

#: between a sentence and the values of its places
BEHIND = "\x1f"
_REASON = Case(
    When(reason="", then=Value("")),
    default=Concat(
        "reason", Value(BEHIND), Cast("reason_values", TextField()), output_field=TextField()
    ),
    output_field=TextField(),
)

CALL_COLUMNS: tuple[Column, ...] = (
    Column("id", _("number of the call"), "id", Cell.NUMBER),
    Column(
        "platform",
        _("platform"),
        "account__platform",
        Cell.WORD,
        _PLATFORM_NAMES,
        always=True,
    ),
    Column("account", _("account"), "account__name", Cell.TEXT),
    Column("platform_call_id", _("platform's call id"), "platform_call_id", Cell.TEXT),
    Column("task_id", _("number of the task"), "task_id", Cell.NUMBER),
    Column("task", _("task"), "task__name", Cell.FREE),
    Column("contact_id", _("number of the contact"), "contact_id", Cell.NUMBER),
    Column("platform_contact_id", _("platform's contact id"), "platform_contact_id", Cell.KEY),
    Column("direction", _("direction"), "direction", Cell.WORD, _words(Call.Direction.choices)),
    Column("caller", _("caller"), "caller", Cell.PHONE),
    Column("callee", _("callee"), "callee", Cell.PHONE),
    Column("stage", _("stage"), "stage", Cell.WORD, _words(Call.Stage.choices)),
    Column("dialed_at", _("dialled"), "dialed_at", Cell.MOMENT),
    Column("ringing_at", _("ringing since"), "ringing_at", Cell.MOMENT),
    Column("answered_at", _("picked up"), "answered_at", Cell.MOMENT),
    Column("ended_at", _("ended"), "ended_at", Cell.MOMENT),
    Column("result", _("result"), "result", Cell.WORD, _words(Call.Result.choices)),
    Column("platform_result", _("platform's result"), "platform_result", Cell.TEXT),
    Column("platform_result_text", _("platform's words for it"), "platform_result_text", Cell.FREE),
    Column("answered", _("answered"), "answered", Cell.YES_NO),
    Column("ring_seconds", _("ring time (seconds)"), "ring_seconds", Cell.NUMBER),
    Column("talk_seconds", _("talk time (seconds)"), "talk_seconds", Cell.NUMBER),
    Column("wait_seconds", _("waiting time (seconds)"), "wait_seconds", Cell.NUMBER),
    Column("hangup_by", _("hung up by"), "hangup_by", Cell.WORD, _words(Call.HangupBy.choices)),
    Column("intention", _("intention"), "intention", Cell.TEXT),
    Column("attempt", _("attempt"), "attempt", Cell.NUMBER),
    Column("agent_number", _("agent's number"), "agent_number", Cell.FREE),
    Column("agent_name", _("agent"), "agent_name", Cell.FREE),
    Column("queue_name", _("queue"), "queue_name", Cell.FREE),
    Column("relation_id", _("relation id"), "relation_id", Cell.KEY),
)

CONTACT_COLUMNS: tuple[Column, ...] = (
    Column("id", _("number of the contact"), "id", Cell.NUMBER),
    Column("account", _("account"), "account__name", Cell.TEXT),
    Column("task_id", _("number of the task"), "task_id", Cell.NUMBER),
    Column("task", _("task"), "task__name", Cell.FREE),
    Column("round", _("round"), "round", Cell.NUMBER),
    Column("line", _("line of the file"), "line_number", Cell.NUMBER),
    Column("phone", _("phone"), "phone", Cell.PHONE),
    Column("status", _("status"), "status", Cell.WORD, _words(Contact.Status.choices)),
    Column("reason", _("reason"), _REASON, Cell.REASON),
    Column("platform_contact_id", _("platform id"), "platform_contact_id", Cell.KEY),
    Column("calls", _("calls"), "calls_made", Cell.NUMBER),
    Column("answered", _("answered"), "answered", Cell.YES_NO),
    Column("result", _("result"), "result", Cell.WORD, _words(Call.Result.choices)),
    Column("intention", _("intention"), "intention", Cell.TEXT),
    Column("last_call_at", _("last call"), "last_call_at", Cell.MOMENT),
)


def list_columns(criteria: Criteria) -> tuple[Column, ...]:
    """The columns of the file. Contacts of one task bring the columns of their own file along."""
    if criteria.kind == CALLS:
        return CALL_COLUMNS
    tasks = criteria.params.get("task__id__exact") or ()
    task = (
        Task.objects.select_related("robot").filter(pk=tasks[0]).first()
        if len(tasks) == 1
        else None
    )
    if task is None:
        return CONTACT_COLUMNS
    # the first one is the phone, which stands in the file already
    own = [str(name) for name in task.robot.columns[1:]]
    return CONTACT_COLUMNS + tuple(
        Column(f"values.{name}", name, KeyTextTransform(name, "values"), Cell.FREE) for name in own
    )
