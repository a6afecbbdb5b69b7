"""In: any path under ``callbacks/``. Out: the door.

One pattern takes them all, so that every wrong address gets the same answer and none a redirect.
"""

from __future__ import annotations

from django.urls import re_path

from callbacks.views import Door

urlpatterns = [re_path(r"^(?P<address>[\s\S]*)$", Door.as_view(), name="door")]
