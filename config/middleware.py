"""In: any request. Out: the request, or a plain refusal of what no screen can mean. Also: log lines
without secrets.

Platforms reach us by whatever name their operators typed, so the check of the host name is not for
them: their key is the token in the path.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.middleware.common import CommonMiddleware
from django.utils.translation import gettext as _

from campaigns.masking import mask_numbers

_TOKEN_PATH = re.compile(r"(/callbacks/)[^/\s\"?]+")
_QUERY_TOKEN = re.compile(r"((?:token|app_secret|app_key|password)=)[^&\s\"]+", re.IGNORECASE)


class CommonExceptCallbacks(CommonMiddleware):
    """Django's own, except that a push is not judged by the host name it was sent to."""

    def process_request(self, request: HttpRequest) -> Any:
        if request.path_info.startswith("/callbacks/"):
            return None
        return super().process_request(request)


class RefuseOddRequests:
    """Answers 400 where an address holds what no page can look up.

    NUL and lone surrogates reach PostgreSQL from any filter or search box of the admin and end in
    an error there; numbers and dates beyond the database's range raise ``DataError``,
    ``OverflowError`` or ``ValueError`` deep inside a list. A person who typed them gets a sentence.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/callbacks/"):
            values = [request.path_info]
            for name, items in request.GET.lists():
                values += [name, *items]
            if any(not is_storable(value) for value in values):
                return refuse()
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, DataError | OverflowError) and request.method in ("GET", "HEAD"):
            return refuse()
        return None


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: no NUL, nothing that UTF-8 cannot write."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse() -> HttpResponse:
    return HttpResponseBadRequest(
        _("This address holds a value that cannot be looked up."),
        content_type="text/plain; charset=utf-8",
    )


class HidingFormatter(logging.Formatter):
    """Takes path tokens, query tokens and phone numbers out of a log line and its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


def hide_secrets(text: str) -> str:
    text = _TOKEN_PATH.sub(r"\1…", text)
    text = _QUERY_TOKEN.sub(r"\1…", text)
    return mask_numbers(text)
