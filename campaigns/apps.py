"""In: nothing. Out: the Django application of the outbound side and its screens."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created
from django.utils.translation import gettext_lazy as _


class CampaignsConfig(AppConfig):
    name = "campaigns"
    verbose_name = _("Campaigns")

    def ready(self) -> None:
        # Models can be imported only now.
        from campaigns.auditing import register_configuration  # noqa: PLC0415

        register_configuration()
        connection_created.connect(set_session_up, dispatch_uid="set_session_up")


_SET_UP = """
    SELECT CASE WHEN current_setting('synchronous_commit') = 'off'
            THEN set_config('synchronous_commit', 'on', false) END,
        set_config('idle_in_transaction_session_timeout', %s, false),
        set_config('tcp_keepalives_idle', '30', false),
        set_config('tcp_keepalives_interval', '10', false),
        set_config('tcp_keepalives_count', '3', false)
"""


def set_session_up(connection: Any, **_others: Any) -> None:
    """No commit is reported before it is on disk, whatever the server's default is: a ``sending``
    that a crash takes back is a second call. And nobody keeps others from rows for ever: the
    server ends the transaction of a process that stands still in the middle of one, and the session
    of a machine that has vanished."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_SET_UP, [f"{round(settings.IDLE_IN_TRANSACTION_SECONDS * 1000)}ms"])
