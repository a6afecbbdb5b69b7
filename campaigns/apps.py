"""In: nothing. Out: the Django application of the outbound side and its screens."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.utils.translation import gettext_lazy as _


class CampaignsConfig(AppConfig):
    name = "campaigns"
    verbose_name = _("Campaigns")

    def ready(self) -> None:
        # Models can be imported only now.
        from campaigns.auditing import register_configuration  # noqa: PLC0415

        register_configuration()
        connection_created.connect(wait_for_disk, dispatch_uid="wait_for_disk")


def wait_for_disk(connection: Any, **_others: Any) -> None:
    """No commit is reported before it is on disk, whatever the server's default is: a ``sending``
    that a crash takes back is a second call."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
