"""In: any request. Out: for a push the door's answer, without the layers that pages need.

Sessions, languages, log-ins and headers for browsers mean nothing to a platform; each would be one
more thing that can fail before a push is stored, and together they cost as much as the storing.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from callbacks.views import Door

PREFIX = "/callbacks/"


class StraightToTheDoor:
    """The first of the layers. The same view stands in ``callbacks.urls``."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.door = Door.as_view()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(PREFIX):
            response: HttpResponse = self.door(request, address=request.path_info[len(PREFIX) :])
            return response
        return self.get_response(request)
