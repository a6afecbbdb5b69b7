"""In: a draft with contacts. Out: two drafts that share them by chance, and which did better.

``splitting`` (who goes where) → ``counting`` (what came of each group) → ``comparing`` (whether a
difference means anything; pure).
"""

from campaigns.experiments.comparing import BASES, Comparison, compare
from campaigns.experiments.counting import (
    Group,
    Line,
    count_experiment,
    list_due_counts,
    list_lines,
    read_groups,
)
from campaigns.experiments.splitting import (
    ExperimentRefused,
    begin_experiment,
    check_split,
    find_experiment,
    is_second,
    list_columns,
    list_waiting_splits,
    split_experiment,
)

__all__ = [
    "BASES",
    "Comparison",
    "ExperimentRefused",
    "Group",
    "Line",
    "begin_experiment",
    "check_split",
    "compare",
    "count_experiment",
    "find_experiment",
    "is_second",
    "list_columns",
    "list_due_counts",
    "list_lines",
    "list_waiting_splits",
    "read_groups",
    "split_experiment",
]
