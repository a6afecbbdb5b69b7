"""In: nothing. Out: the Django application of the outbound side and its screens."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CampaignsConfig(AppConfig):
    name = "campaigns"
    verbose_name = _("Campaigns")

    def ready(self) -> None:
        # Models can be imported only now.
        from campaigns.auditing import register_configuration  # noqa: PLC0415

        register_configuration()
