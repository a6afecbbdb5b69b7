"""In: the bytes of a table. Out: what would become contacts of it, and what would not."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from campaigns.importing.checking import check_rows, read_rows
from campaigns.importing.errors import Rejection
from campaigns.importing.files import inspect_file
from campaigns.importing.mapping import Layout, find_plan, make_layout
from campaigns.importing.reading import Record

COLUMNS = ["客户手机号码", "姓名", "city"]
HEADER = "客户手机号码,姓名,city\n"


@dataclass
class Outcome:
    """Everything that came of a file."""

    layout: Layout
    rows: list[tuple[int, str, str, dict[str, str]]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)

    def add(self, rejection: Rejection, /) -> None:
        self.rejected.append(rejection)

    @property
    def values(self) -> list[tuple[str, ...]]:
        return [tuple(values.values()) for *_, values in self.rows]

    @property
    def problems(self) -> list[tuple[int, str, str]]:
        return [(row.line, row.column, row.problem.code) for row in self.rejected]


def read(
    content: bytes | str | IO[bytes],
    *,
    columns: Sequence[str] = COLUMNS,
    mapping: Mapping[str, str] | None = None,
    kept: Sequence[str] = (),
    region: str = "CN",
) -> Outcome:
    """Found out, laid out, read and checked, as an import does it."""
    if isinstance(content, str):
        content = content.encode()
    handle = io.BytesIO(content) if isinstance(content, bytes) else content
    plan, header = find_plan(handle, inspect_file(handle), columns=columns, known=mapping)
    layout = make_layout(plan, header, columns=columns, mapping=mapping, kept=kept)
    return check(read_rows(handle, layout, region=region), layout, region=region)


def check(records: Iterable[Record], layout: Layout, *, region: str = "CN") -> Outcome:
    outcome = Outcome(layout)
    checked = check_rows(records, layout, rejections=outcome, region=region)
    outcome.rows = [
        (line, phone, written, json.loads(values)) for line, phone, written, values in checked
    ]
    return outcome
