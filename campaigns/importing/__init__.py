"""In: a file of contacts. Out: contacts of a draft, and a report of every row that is none.

receiving (upload → our frozen copy) → files, workbooks (bytes → what it is) → reading (→ records)
→ mapping (header → columns), options (what somebody chose) → checking (records → rows) → staging
(rows, good and bad → tables) → verdicts (who is not called, and why) → loading (rows → contacts).
steps says when, undo takes it back, report tells the result.
"""

from campaigns.importing.errors import ImportRefused
from campaigns.importing.loading import check_import, load_import
from campaigns.importing.notes import tell_notes
from campaigns.importing.options import (
    Preview,
    PreviewRow,
    change_reading,
    choose_columns,
    preview_contacts,
    read_preview,
    reopen_import,
)
from campaigns.importing.receiving import find_same_file, receive_file
from campaigns.importing.report import csv_of_rejected, make_report
from campaigns.importing.returning import find_taken, hold_loading
from campaigns.importing.steps import (
    begin_check,
    cancel_import,
    confirm_import,
    forget_files,
    import_file,
    settle_imports,
)
from campaigns.importing.undo import Undone, foresee_undo, undo_import

__all__ = [
    "ImportRefused",
    "Preview",
    "PreviewRow",
    "Undone",
    "begin_check",
    "cancel_import",
    "change_reading",
    "check_import",
    "choose_columns",
    "confirm_import",
    "csv_of_rejected",
    "find_same_file",
    "find_taken",
    "foresee_undo",
    "forget_files",
    "hold_loading",
    "import_file",
    "load_import",
    "make_report",
    "preview_contacts",
    "read_preview",
    "receive_file",
    "reopen_import",
    "settle_imports",
    "tell_notes",
    "undo_import",
]
