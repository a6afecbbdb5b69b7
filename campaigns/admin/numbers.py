"""In: a whole number of a template. Out: the number with its groups. Loaded in every template."""

from __future__ import annotations

from typing import Any

from django.template import Library

from campaigns.definitions import show_number

register = Library()


@register.filter
def grouped(value: Any) -> Any:
    """10001 as 10,001; what is no whole number is left as it is."""
    return show_number(value) if type(value) is int else value
