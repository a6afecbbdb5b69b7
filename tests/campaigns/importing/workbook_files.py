"""In: what is to stand in a workbook. Out: its bytes, written by XlsxWriter, xlwt or by hand."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msoffcrypto.format.ooxml
import xlsxwriter
import xlwt

TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.{main}"/></Types>'
)
XLSX = "openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'


def make_workbook(
    rows: Sequence[Sequence[Any]] = (),
    *,
    name: str = "Sheet1",
    change: Callable[[Any, Any], None] = lambda book, sheet: None,
    **options: Any,
) -> bytes:
    """Cells as XlsxWriter understands them; ``change`` gets the workbook and its sheet."""
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True, **options}) as book:
        sheet = book.add_worksheet(name)
        for line, cells in enumerate(rows):
            sheet.write_row(line, 0, cells)
        change(book, sheet)
    return target.getvalue()


def make_old_workbook(
    rows: Sequence[Sequence[Any]] = (), *, change: Callable[[Any, Any], None] = lambda b, s: None
) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("Sheet1")
    for line, cells in enumerate(rows):
        for place, cell in enumerate(cells):
            sheet.write(line, place, cell)
    change(book, sheet)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def make_package(
    sheet: str | bytes = "<sheetData/>",
    *,
    strings: str = "",
    styles: str = "",
    book: str = "",
    parts: Mapping[str, str | bytes] | None = None,
    main: str = XLSX,
    before: str = "",
) -> bytes:
    """A workbook by hand: ``sheet`` is what its worksheet holds, ``before`` what precedes it."""
    if isinstance(sheet, str):
        sheet = f"{before}<worksheet {MAIN}>{sheet}</worksheet>"
    book = book or f'<sheets><sheet name="One" sheetId="1" xmlns:r="{_R}" r:id="rId1"/></sheets>'
    content: dict[str, str | bytes] = {
        "[Content_Types].xml": TYPES.format(main=main),
        "_rels/.rels": f'<Relationships {_RELATIONS}><Relationship Id="rId1" '
        f'Type="{_R}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f"<workbook {MAIN}>{book}</workbook>",
        "xl/_rels/workbook.xml.rels": f"<Relationships {_RELATIONS}>"
        f'<Relationship Id="rId1" Type="{_R}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_R}/sharedStrings" Target="sharedStrings.xml"/>'
        f'<Relationship Id="rId3" Type="{_R}/styles" Target="styles.xml"/>'
        f'<Relationship Id="rId4" Type="{_R}/externalLink" TargetMode="External" '
        f'Target="http://127.0.0.1:9/other.xlsx"/></Relationships>',
        "xl/worksheets/sheet1.xml": sheet,
        "xl/sharedStrings.xml": f"<sst {MAIN}>{strings}</sst>",
        "xl/styles.xml": f"<styleSheet {MAIN}>{styles}</styleSheet>",
        **(parts or {}),
    }
    return make_zip(content)


def make_zip(content: Mapping[str, str | bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    return target.getvalue()


def lock_workbook(content: bytes, password: str) -> bytes:
    target = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(content)).encrypt(password, target)
    return target.getvalue()


def lock_old_workbook(content: bytes) -> bytes:
    """As an old workbook with a password begins: its second record is FILEPASS."""
    place = content.index(b"\x09\x08\x10\x00\x00\x06\x05\x00") + 20
    return content[:place] + b"\x2f\x00" + content[place + 2 :]


def change_table(content: bytes, name: str, *, field: str, value: int) -> bytes:
    """The archive with another figure in its table of contents."""
    offset = {"packed": 20, "unpacked": 24, "place": 42}[field]
    entry = content.index(b"PK\x01\x02")
    while True:
        length, extra, comment = struct.unpack("<HHH", content[entry + 28 : entry + 34])
        if content[entry + 46 : entry + 46 + length].decode() == name:
            place = entry + offset
            return content[:place] + struct.pack("<L", value) + content[place + 4 :]
        entry += 46 + length + extra + comment
