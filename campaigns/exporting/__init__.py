"""In: ``Criteria``. Out: a file of the rows they choose: a table (CSV, Excel) or recordings (ZIP).

A job makes it in the background: the database writes the cells (``COPY``), so a file of millions of
rows takes neither time nor memory of ours. Numbers are masked for who may not see them whole, no
cell begins like a formula, and who asked for which rows, and who fetched the file, is written down.
"""

from campaigns.exporting.plans import list_due_days, make_planned
from campaigns.exporting.steps import (
    ExportRefused,
    ask_export,
    cancel_export,
    enqueue_export,
    expire_exports,
    make_export,
    note_download,
    settle_exports,
)

__all__ = [
    "ExportRefused",
    "ask_export",
    "cancel_export",
    "enqueue_export",
    "expire_exports",
    "list_due_days",
    "make_export",
    "make_planned",
    "note_download",
    "settle_exports",
]
