"""In: what a platform tells of the people who answer its calls. Out: agents, and what each did.

An agent's state is read from its newest event, so that neither order nor repetition of the pushes
changes it. Platforms that have robots alone have none.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account


class Agent(models.Model):
    """A person who takes or makes calls at the platform. Known by the platform's own number."""

    class State(models.TextChoices):
        OFFLINE = "offline", _("offline")
        ONLINE = "online", _("logged in")
        IDLE = "idle", _("free")
        BUSY = "busy", _("on a break")
        DIALLING = "dialling", _("dialling")
        RINGING = "ringing", _("ringing")
        TALKING = "talking", _("talking")
        WRAP_UP = "wrap_up", _("wrapping up")
        HOLDING = "holding", _("call on hold")
        MUTED = "muted", _("muted")
        DISCONNECTED = "disconnected", _("not connected")
        INVALID = "invalid", _("not valid")
        CUSTOM = "custom", _("own state")
        UNKNOWN = "unknown", _("unknown")

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="agents", verbose_name=_("account")
    )
    number = models.CharField(_("number"), max_length=100)
    name = models.CharField(_("name"), max_length=100, blank=True)
    #: our word; not a status of ours: the platform alone moves it
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.UNKNOWN)
    platform_state = models.CharField(_("platform's state"), max_length=100, blank=True)
    platform_state_text = models.CharField(_("platform's words for it"), max_length=100, blank=True)
    since = models.DateTimeField(_("since"), null=True)
    #: None: it was never heard to log in or out
    logged_in = models.BooleanField(_("logged in"), null=True)
    logged_in_changed_at = models.DateTimeField(_("logged in or out"), null=True)
    platform_call_id = models.CharField(_("platform's call id"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("first heard"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("agent")
        verbose_name_plural = _("agents")
        ordering = ["account", "number"]
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="one_agent_per_number")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.number})" if self.name else self.number

    @property
    def is_on(self) -> bool:
        """Whether somebody is there: heard to be in a state, and not to have left since."""
        return self.state not in (self.State.OFFLINE, self.State.INVALID, self.State.UNKNOWN)


class AgentEvent(models.Model):
    """One thing an agent did. The same event that comes twice, or by two addresses, is one row."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="events", verbose_name=_("agent"))
    at = models.DateTimeField(_("at"))
    #: ranks events of one second: what comes later by its nature is higher
    order = models.SmallIntegerField(default=0)
    source = models.CharField(_("source"), max_length=100)
    state = models.CharField(_("state"), max_length=20, choices=Agent.State)
    platform_state = models.CharField(_("platform's state"), max_length=100, blank=True)
    platform_state_text = models.CharField(_("platform's words for it"), max_length=100, blank=True)
    logged_in = models.BooleanField(_("logged in"), null=True)
    name = models.CharField(_("name"), max_length=100, blank=True)
    platform_call_id = models.CharField(_("platform's call id"), max_length=200, blank=True)
    platform_event_id = models.CharField(_("platform's event id"), max_length=100, blank=True)
    details = models.JSONField(_("details"), default=dict)
    #: of everything above: the ids that platforms give to events are not unique
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("agent event")
        verbose_name_plural = _("agent events")
        ordering = ["-at", "-order", "-digest"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "digest"], name="one_agent_event_per_digest")
        ]
        indexes = [
            models.Index(fields=["agent", "-at", "-order", "-digest"], name="agent_event_newest"),
            models.Index(
                fields=["agent", "-at", "-order", "-digest"],
                condition=models.Q(logged_in__isnull=False),
                name="agent_event_login",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.state}"
