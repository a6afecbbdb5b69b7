"""In: a task. Out: what came of it, counted by a job or at once, kept, and read by pages.

``look_at`` is what a page calls: it gives what was counted last and sees to it that it is counted
anew when rows have changed. ``count_task`` counts.
"""

from campaigns.figures.counting import count_figures
from campaigns.figures.keeping import (
    Look,
    count_task,
    list_due,
    look_at,
    read_many,
)
from campaigns.figures.reading import (
    Figures,
    Node,
    NodeTable,
    People,
    Slot,
    VersionFigures,
    merge_versions,
)
from campaigns.figures.robots import tally_days

__all__ = [
    "Figures",
    "Look",
    "Node",
    "NodeTable",
    "People",
    "Slot",
    "VersionFigures",
    "count_figures",
    "count_task",
    "list_due",
    "look_at",
    "merge_versions",
    "read_many",
    "tally_days",
]
