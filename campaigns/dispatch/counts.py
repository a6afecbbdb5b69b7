"""In: a task. Out: how far its contacts have been handed over."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from campaigns.models import Batch, Contact, Task


def read_states(task: Task) -> set[str]:
    """The states in which the task has contacts, or batches, that are not handed over yet.

    A batch may be in doubt although the calls of all its contacts came back. One statement, so one
    moment: contacts that move between two looks would be seen in neither state, and the task would
    go on without them.
    """
    states = ("ready", "planned", "sending", "unknown")
    seen = {
        f"has_{state}": Exists(Contact.objects.filter(task=OuterRef("pk"), status=state))
        for state in ("ready", "unknown")
    }
    open_batches = Batch.objects.filter(task=OuterRef("pk"))
    # By their batches: to the index they are among all that were accepted.
    for state in ("planned", "sending"):
        people = Contact.objects.filter(batch=OuterRef("pk"), status=state)
        seen[f"has_{state}"] = Exists(
            open_batches.exclude(status="accepted").filter(Exists(people))
        )
    seen |= {
        f"batch_{state}": Exists(open_batches.filter(status=state))
        for state in ("sending", "unknown")
    }
    row = Task.objects.filter(pk=task.pk).annotate(**seen).values(*seen).get()
    return {state for state in states if row[f"has_{state}"] or row.get(f"batch_{state}")}


def count_handed_over(task: Task) -> int:
    """Contacts that the platform must hold: those of accepted batches."""
    return task.contacts.filter(batch__status=Batch.Status.ACCEPTED).count()


def has_uncounted(task: Task) -> bool:
    """Whether the platform took batches since its count was last found to be right."""
    fresh = {"batch__status": Batch.Status.ACCEPTED, "batch__counted": False}
    return task.contacts.filter(**fresh).exists()


def note_counted(task: Task) -> None:
    """The platform's count is right with every batch that it took so far."""
    task.batches.filter(status=Batch.Status.ACCEPTED, counted=False).update(counted=True)
