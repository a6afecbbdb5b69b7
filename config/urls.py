"""In: a path. Out: the view that answers it."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path


def go_to_admin(request: HttpRequest) -> HttpResponse:
    return redirect("admin:index")


urlpatterns: list[URLPattern | URLResolver] = [
    path("", go_to_admin),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("callbacks/", include("callbacks.urls")),
    path("", include("config.health")),
]
