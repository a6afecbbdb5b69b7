"""In: a path. Out: the view that answers it."""

from __future__ import annotations

import sys

from django.contrib import admin
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path
from django.utils.translation import gettext as _
from django.views.defaults import server_error


def go_to_admin(request: HttpRequest) -> HttpResponse:
    return redirect("admin:index")


def tell_failure(request: HttpRequest) -> HttpResponseBase:
    """A database that is away, or has no connection left, is no fault of the page: 503, and again
    in a moment. Everything else as Django has it."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return HttpResponse(
            _("The database does not answer at this moment. Nothing was done; try again."),
            status=503,
            headers={"Retry-After": "5"},
            content_type="text/plain; charset=utf-8",
        )
    return server_error(request)


handler500 = tell_failure

urlpatterns: list[URLPattern | URLResolver] = [
    path("", go_to_admin),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("callbacks/", include("callbacks.urls")),
    path("", include("config.health")),
]
