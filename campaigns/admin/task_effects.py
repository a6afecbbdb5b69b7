"""In: a task, where its contacts are, and the buttons of its page. Out: what each button that calls
or stops somebody does, and to how many."""

from __future__ import annotations

from django.utils.translation import gettext as _

from campaigns.definitions import show_number
from campaigns.models import Task


def tell_effects(task: Task, states: dict[str, int], buttons: list[str]) -> list[dict[str, str]]:
    """What each button that calls or stops somebody does, and to how many."""
    waiting = states["ready"] + states["planned"] + states["sending"]
    there = states["accepted"]
    numbers = {
        "ready": show_number(states["ready"]),
        "waiting": show_number(waiting),
        "there": show_number(there),
        "all": show_number(waiting + there),
    }
    fills = task.fills_instances
    texts = {
        "launch": (_("Launch"), _("%(ready)s contacts are ready to be handed over.")),
        "pause": (
            _("Pause"),
            _("%(waiting)s are not handed over until it goes on; the %(there)s there are called.")
            if fills
            else _(
                "%(waiting)s are not handed over until it goes on, and the platform is told not to"
                " call the %(there)s it has."
            ),
        ),
        "resume": (
            _("Resume"),
            _("%(waiting)s are handed over, and the platform goes on with the %(there)s it has."),
        ),
        "delete": (
            _("Stop for good"),
            _("%(waiting)s are called no more; the platform calls the %(there)s it has.")
            if fills
            else _("%(all)s are called no more. Calls and results stay."),
        ),
    }
    if states["ready"] == 0:
        texts.pop("launch")
    if waiting + there == 0:
        nobody = _("Nobody waits to be called any more. Calls and results stay.")
        texts["delete"] = (_("Stop for good"), nobody)
    return [
        {"name": texts[name][0], "text": texts[name][1] % numbers}
        for name in buttons
        if name in texts
    ]
