"""In: a file of contacts. Out: contacts of a draft, and a report of every row that is none.

files (bytes → text) → mapping (header → columns) → reading (text → records) → checking (records →
rows) → staging (rows → contacts); loading runs them in one transaction, report tells the result.
"""

from campaigns.importing.errors import ImportRefused
from campaigns.importing.loading import import_file, settle_imports
from campaigns.importing.report import csv_of_rejected, make_report

__all__ = ["ImportRefused", "csv_of_rejected", "import_file", "make_report", "settle_imports"]
