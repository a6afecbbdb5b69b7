"""In: a list of the admin. Out: its rows as HTML, the library's to the byte, in a part of the time.

The library asks for the headings anew in every row, draws each box to tick by a template, and looks
every cell's function up by its name. Here that is done once for a list. A list that wants more than
cells (fields to edit, rows to drag, menus, sections) is left to the library.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from django.contrib.admin.templatetags.admin_list import _coerce_field_name
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import lookup_field, quote
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db.models import DateField, ForeignKey, ManyToOneRel, TimeField
from django.template import Context, Library
from django.urls import NoReverseMatch
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from unfold.templatetags import unfold_list as library
from unfold.utils import display_for_field, display_for_value

register = Library()

BOX = "action_checkbox"
#: no row is called so: where it stands in what is drawn once, the row's own key is put
_STAND_IN = "cb0row0cb"
#: what the library draws by templates of its own
_DRAWN = ("label", "header", "dropdown")
_TIMES = datetime.date | datetime.time


@register.filter
def is_plain(changelist: Any) -> bool:
    """Whether the list is nothing but cells."""
    admin = changelist.model_admin
    return not (
        getattr(changelist, "formset", None)
        or changelist.is_popup
        or changelist.to_field
        or getattr(admin, "ordering_field", None)
        or getattr(admin, "list_sections", None)
        or any(
            getattr(_find_function(changelist, name), kind, False)
            for name in changelist.list_display
            for kind in _DRAWN
        )
    )


@register.simple_tag(takes_context=True)
def tell_rows(context: Context, changelist: Any) -> dict[str, Any]:
    """What the templates of the headings and of a list without rows want, and the rows."""
    headers = list(library.result_headers(changelist))
    sorted_fields = [header for header in headers if header["sortable"] and header["sorted"]]
    return {
        "headers": headers,
        "sorted": len(sorted_fields),
        "rows": list(write_rows(changelist, headers)),
        "may_add": changelist.model_admin.has_add_permission(context["request"]),
    }


def write_rows(changelist: Any, headers: list[dict[str, Any]]) -> Iterator[SafeString]:
    """The cells of each row."""
    columns = [
        _Column(changelist, place, headers[place]["text"], is_link=place in _find_links(changelist))
        for place in range(len(changelist.list_display))
    ]
    for row in changelist.result_list:
        yield mark_safe("\n".join(column.write(row) for column in columns))  # noqa: S308


def _find_links(changelist: Any) -> set[int]:
    """The places of the cells that lead to the row's page; the first of them is its heading."""
    names = changelist.list_display_links
    if names is None:
        return set()
    if not names:
        return {0}
    return {place for place, name in enumerate(changelist.list_display) if name in names}


def _find_function(changelist: Any, name: Any) -> Callable[[Any], Any] | None:
    """What of the admin makes the cell of a row; None where it is a field, or the row's own."""
    try:
        changelist.lookup_opts.get_field(name)
    except FieldDoesNotExist:
        admin = changelist.model_admin
        if callable(name):
            return name  # type: ignore[no-any-return]
        if name != "__str__" and hasattr(admin, name):
            return getattr(admin, name)  # type: ignore[no-any-return]
    return None


class _Column:
    """Draws the cells of a column."""

    def __init__(self, changelist: Any, place: int, heading: Any, *, is_link: bool) -> None:
        self._admin = changelist.model_admin
        self._name = changelist.list_display[place]
        self._function = _find_function(changelist, self._name)
        self._key = changelist.lookup_opts.pk.attname
        is_first = is_link and place == min(_find_links(changelist))
        self._tag = "th" if is_first else "td"
        self._classes = [f"field-{_coerce_field_name(self._name, place)}", *library.ROW_CLASSES]
        if self._name == BOX:
            self._classes = library.CHECKBOX_CLASSES
        label = heading if is_link or place else gettext("Select record")
        self._label = format_html('data-label="{}"', label)
        self._link = self._draw_link(changelist) if is_link else ""
        self._box = ""
        if self._name == BOX:
            self._box = str(self._admin.action_checkbox(SimpleNamespace(pk=_STAND_IN)))
        self._begin, self._narrow = self._open(), self._open("nowrap")

    def _open(self, *classes: str) -> str:
        return f'<{self._tag} class="{" ".join([*self._classes, *classes])}" {self._label}>'

    def _draw_link(self, changelist: Any) -> str:
        """The link around a cell; empty where the rows have no pages."""
        try:
            url = changelist.url_for_result(SimpleNamespace(**{changelist.pk_attname: _STAND_IN}))
        except NoReverseMatch:
            return ""
        kept = {"preserved_filters": changelist.preserved_filters, "opts": changelist.opts}
        classes = " ".join(library.LINK_CLASSES)
        return format_html('<a href="{}" class="{}" >', add_preserved_filters(kept, url), classes)

    def write(self, row: Any) -> str:
        key = getattr(row, self._key)
        if self._box:
            told: Any = self._box.replace(_STAND_IN, conditional_escape(key))
            return f"{self._begin}{told}</{self._tag}>"
        told, is_narrow = self._tell(row)
        told = conditional_escape(told)
        if self._link:
            told = f"{self._link.replace(_STAND_IN, conditional_escape(quote(key)))}{told}</a>"
        return f"{self._narrow if is_narrow else self._begin}{told}</{self._tag}>"

    def _tell(self, row: Any) -> tuple[Any, bool]:
        """What stands in the cell, and whether it is a time or a name that is not to be broken."""
        empty = self._admin.get_empty_value_display()
        field: Any = None
        try:
            if self._function is not None:
                attr, value = self._function, self._function(row)
            else:
                field, attr, value = lookup_field(self._name, row, self._admin)
        except ObjectDoesNotExist:  # deleted since the rows were read
            return empty, False
        if field is None or field.auto_created:
            if isinstance(value, str):
                return value, False
            empty = getattr(attr, "empty_value_display", empty)
            is_boolean = getattr(attr, "boolean", False)
            return display_for_value(value, empty, is_boolean), isinstance(value, _TIMES)
        is_narrow = isinstance(field, DateField | TimeField | ForeignKey)
        if isinstance(field.remote_field, ManyToOneRel):
            return (empty if value is None else value), is_narrow
        return display_for_field(value, field, empty), is_narrow
