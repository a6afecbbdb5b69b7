"""In: criteria. Out: the filters of a list, one for each, that ask for what the criterion reads.

They narrow nothing themselves: the list takes its rows from the criteria as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import (
    MultipleDropdownFilter,
    RadioFilter,
    RangeNumericListFilter,
    TextFilter,
)
from unfold.contrib.filters.forms import RangeDateForm

from campaigns.criteria import list_criteria


class _NarrowsNothing:
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


def make_filter(kind: str, name: str, *, title: Any = None) -> type[admin.ListFilter]:
    """The filter of one parameter: a choice where it has words, else a text."""
    criterion = list_criteria(kind)[name]
    base: Any = TextFilter
    if criterion.choices:
        words = {word for word, _name in criterion.choices}
        base = MultipleDropdownFilter if words - {"yes", "no", "1", "0"} else RadioFilter
    fields: dict[str, Any] = {"title": title or criterion.label, "parameter_name": name}
    if criterion.choices:
        fields["lookups"] = lambda self, request, model_admin: list(criterion.choices)
    return type(f"{name.title()}Filter", (_NarrowsNothing, base), fields)


def make_range(kind: str, name: str, title: Any) -> type[admin.ListFilter]:
    """From one number to another: the parameters ``…_from`` and ``…_to``."""
    assert {f"{name}_from", f"{name}_to"} <= set(list_criteria(kind))
    fields = {"title": title, "parameter_name": name}
    return type(f"{name.title()}Filter", (_NarrowsNothing, _Range), fields)


class _Range(RangeNumericListFilter):
    def has_output(self) -> bool:
        return True


def make_days(kind: str, name: str, title: Any) -> type[admin.ListFilter]:
    """From one day to another, both included."""
    assert {f"{name}_from", f"{name}_to"} <= set(list_criteria(kind))
    fields = {"title": title, "parameter_name": name}
    return type(f"{name.title()}Filter", (_NarrowsNothing, _Days), fields)


class _Days(RangeNumericListFilter):
    template = "unfold/filters/filters_date_range.html"

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[Any]:
        names = [f"{self.parameter_name}_{end}" for end in ("from", "to")]
        yield {
            "request": self.request,
            "parameter_name": self.parameter_name,
            "form": RangeDateForm(
                name=self.parameter_name,
                data={name: self.used_parameters.get(name) for name in names},
            ),
        }
