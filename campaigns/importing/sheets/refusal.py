"""In: why a workbook cannot be read. Out: a word that ``workbooks`` has a sentence for."""

from __future__ import annotations


class Refused(Exception):
    """``code`` is a key of ``workbooks.SENTENCES``, ``values`` are what its sentence names."""

    def __init__(self, code: str, **values: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.values = values
