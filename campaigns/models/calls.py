"""In: what ``ingest`` merged of the events. Out: calls, their turns and recordings.

``Call.evidence`` holds every distinct statement the platform made about each field; the columns are
read from it by one pure function (``ingest.project``), so that neither order nor repetition of the
pushes changes a row, and a contradiction is shown, not overwritten.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from campaigns.models.accounts import Account, Robot
from campaigns.models.tasks import Contact, Task


class Call(models.Model):
    """One call, as far as it is known."""

    class Direction(models.TextChoices):
        OUTBOUND = "outbound", _("outbound")
        INBOUND = "inbound", _("inbound")

    class Result(models.TextChoices):
        ANSWERED = "answered", _("answered")
        NO_ANSWER = "no_answer", _("no answer")
        BUSY = "busy", _("busy")
        REJECTED = "rejected", _("declined")
        POWERED_OFF = "powered_off", _("powered off")
        UNREACHABLE = "unreachable", _("unreachable")
        INVALID_NUMBER = "invalid_number", _("invalid number")
        SUSPENDED = "suspended", _("suspended")
        CALL_RESTRICTED = "call_restricted", _("call restricted")
        FORWARDED = "forwarded", _("forwarded")
        NETWORK_FAILURE = "network_failure", _("network failure")
        LINE_FAILURE = "line_failure", _("line failure")
        TIMED_OUT = "timed_out", _("timed out")
        ABANDONED = "abandoned", _("abandoned")
        VOICEMAIL = "voicemail", _("voicemail")
        TRANSFERRED = "transferred", _("transferred")
        CANCELLED = "cancelled", _("cancelled")
        UNKNOWN = "unknown", _("unknown")

    class HangupBy(models.TextChoices):
        CONTACT = "contact", _("contact")
        ROBOT = "robot", pgettext_lazy("speaker", "robot")
        AGENT = "agent", _("agent")
        PLATFORM = "platform", _("platform")
        UNKNOWN = "unknown", _("unknown")

    class Stage(models.TextChoices):
        """How far a call is, as far as we heard."""

        DIALLING = "dialling", _("dialling")
        RINGING = "ringing", _("ringing")
        TALKING = "talking", _("talking")
        ENDED = "ended", pgettext_lazy("stage", "ended")

    # no index of its own here and below: another begins with it
    account = models.ForeignKey(Account, models.PROTECT, db_index=False, verbose_name=_("account"))
    platform_call_id = models.CharField(_("platform's call id"), max_length=200)
    task = models.ForeignKey(
        Task,
        models.SET_NULL,
        null=True,
        db_index=False,
        related_name="calls",
        verbose_name=_("task"),
    )
    contact = models.ForeignKey(
        Contact, models.SET_NULL, null=True, related_name="calls", verbose_name=_("contact")
    )
    robot = models.ForeignKey(
        Robot, models.SET_NULL, null=True, related_name="calls", verbose_name=_("robot")
    )
    platform_task_id = models.CharField(max_length=100, blank=True)
    platform_contact_id = models.CharField(max_length=100, blank=True)
    platform_robot_id = models.CharField(max_length=100, blank=True)
    relation_id = models.CharField(_("relation id"), max_length=200, blank=True)

    direction = models.CharField(_("direction"), max_length=10, choices=Direction, blank=True)
    caller = models.CharField(_("caller"), max_length=64, blank=True)
    callee = models.CharField(_("callee"), max_length=64, blank=True)
    dialed_at = models.DateTimeField(_("dialled"), null=True)
    ringing_at = models.DateTimeField(_("ringing since"), null=True)
    answered_at = models.DateTimeField(_("picked up"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    answered = models.BooleanField(_("answered"), null=True)
    ring_seconds = models.PositiveIntegerField(_("ring time"), null=True)
    talk_seconds = models.PositiveIntegerField(_("talk time"), null=True)
    result = models.CharField(_("result"), max_length=20, choices=Result, default=Result.UNKNOWN)
    platform_result = models.CharField(_("platform's result"), max_length=100, blank=True)
    platform_result_text = models.CharField(
        _("platform's words for it"), max_length=300, blank=True
    )
    hangup_by = models.CharField(
        _("hung up by"), max_length=10, choices=HangupBy, default=HangupBy.UNKNOWN
    )
    intention = models.CharField(_("intention"), max_length=50, blank=True)
    intention_min = models.CharField(_("lowest intention"), max_length=50, blank=True)
    attempt = models.PositiveIntegerField(_("attempt"), null=True)
    #: the platform said that it does not call the contact again; None: it does not say
    final = models.BooleanField(null=True, editable=False)
    wait_seconds = models.PositiveIntegerField(_("waiting time"), null=True)
    agent_number = models.CharField(_("agent's number"), max_length=100, blank=True)
    agent_name = models.CharField(_("agent"), max_length=100, blank=True)
    queue_name = models.CharField(_("queue"), max_length=100, blank=True)
    stage = models.CharField(_("stage"), max_length=10, choices=Stage, default=Stage.ENDED)
    details = models.JSONField(_("details"), default=dict)

    has_record = models.BooleanField(_("call record"), default=False)
    turns_count = models.PositiveIntegerField(_("turns"), default=0)
    #: its turns were deleted then, because their period was over
    dialog_deleted_at = models.DateTimeField(_("dialog deleted"), null=True, editable=False)
    evidence = models.JSONField(default=dict)
    conflicts = models.JSONField(_("conflicts"), default=dict)
    problems = models.JSONField(_("unusable fields"), default=dict)
    #: the newest of dialled, ringing, picked up, ended, else when we first heard of it
    happened_at = models.DateTimeField(_("time"))
    created_at = models.DateTimeField(_("first heard"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        ordering = ["-happened_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "platform_call_id"], name="one_call_per_platform_id"
            )
        ]
        indexes = [
            models.Index(fields=["-happened_at", "-id"], name="call_happened"),
            models.Index(fields=["task", "-happened_at"], name="call_task"),
            models.Index(fields=["account", "-happened_at"], name="call_account"),
            models.Index(
                fields=["account", "agent_number", "-happened_at"],
                condition=~Q(agent_number=""),
                name="call_agent",
            ),
            models.Index(
                fields=["-happened_at"], condition=~Q(stage="ended"), name="call_going_on"
            ),
            models.Index(
                fields=["platform_result", "-happened_at"],
                condition=~Q(platform_result=""),
                name="call_platform_result",
            ),
            models.Index(
                fields=["account", "platform_result"],
                condition=Q(result="unknown") & ~Q(platform_result=""),
                name="call_unknown_code",
            ),
            models.Index(fields=["callee"], name="call_callee"),
            models.Index(fields=["caller"], name="call_caller"),
            models.Index(
                fields=["relation_id"], condition=~Q(relation_id=""), name="call_relation"
            ),
            models.Index(
                fields=["account", "platform_contact_id"],
                condition=Q(contact=None) & ~Q(platform_contact_id=""),
                name="call_unlinked",
            ),
            models.Index(
                fields=["account", "-happened_at", "-id"],
                condition=Q(contact=None, direction="outbound"),
                name="call_of_nobody",
            ),
        ]

    def __str__(self) -> str:
        return self.platform_call_id


class Turn(models.Model):
    """One utterance of a dialog."""

    class Role(models.TextChoices):
        ROBOT = "robot", pgettext_lazy("speaker", "robot")
        CONTACT = "contact", _("contact")
        AGENT = "agent", _("agent")

    call = models.ForeignKey(
        Call, models.CASCADE, db_index=False, related_name="turns", verbose_name=_("call")
    )
    position = models.PositiveIntegerField(_("position"))
    role = models.CharField(_("who"), max_length=10, choices=Role)
    text = models.TextField(_("words"), blank=True)
    node_id = models.CharField(max_length=200, blank=True)
    node_name = models.CharField(_("node"), max_length=200, blank=True)
    node_type = models.CharField(_("node type"), max_length=50, blank=True)
    label = models.CharField(_("label"), max_length=200, blank=True)
    intention = models.CharField(_("intention"), max_length=50, blank=True)
    intention_text = models.CharField(max_length=200, blank=True)
    question_id = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True)
    spoke_at = models.DateTimeField(null=True)
    hits = models.JSONField(_("hits"), default=list)

    class Meta:
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        ordering = ["call", "position"]
        constraints = [
            models.UniqueConstraint(fields=["call", "position"], name="one_turn_per_position")
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.text[:40]}"


class Verification(models.Model):
    """A push about a call that the platform can be asked about, and what it said.

    A push proves nothing: whoever knows the address can make one. It is ``verified`` only when the
    platform itself, asked over its own interface, said the same.
    """

    class Status(models.TextChoices):
        UNASKED = "unasked", _("not asked")
        ASKING = "asking", _("being asked")
        VERIFIED = "verified", _("verified")
        MISMATCH = "mismatch", _("the platform says otherwise")
        DENIED = "denied", _("not confirmed")
        FAILED = "failed", _("could not be asked")
        TOO_OLD = "too_old", _("too old to be asked about")

    call = models.ForeignKey(
        Call, models.CASCADE, related_name="verifications", verbose_name=_("call")
    )
    digest = models.CharField(max_length=64)
    query = models.JSONField(_("asked with"), default=dict)
    claim = models.JSONField(_("what the push says"), default=dict)
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.UNASKED, editable=False
    )
    #: an English sentence, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    #: the platform's own code and words where it did not confirm, redacted
    said = models.CharField(_("the platform says"), max_length=300, blank=True)
    #: [{"field", "claimed", "answered"}]
    differences = models.JSONField(_("differences"), default=list)
    asked_at = models.DateTimeField(_("asked"), null=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    created_at = models.DateTimeField(_("received"), auto_now_add=True)

    class Meta:
        verbose_name = _("verification")
        verbose_name_plural = _("verifications")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["call", "digest"], name="one_verification_per_push")
        ]
        indexes = [
            models.Index(
                fields=["asked_at"], condition=Q(status="asking"), name="verification_asking"
            ),
            # most are verified; the others are looked for
            models.Index(
                fields=["status", "call"],
                condition=~Q(status="verified"),
                name="verification_not_verified",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.call_id}: {self.status}"


def name_recording_file(recording: Recording, filename: str) -> str:
    """Where a recording is kept: by account, month and call, never by anything a platform said."""
    month = recording.call.happened_at.strftime("%Y/%m")
    ending = filename.rpartition(".")[2]
    return f"recordings/{recording.call.account_id}/{month}/{recording.pk}.{ending}"


class Recording(models.Model):
    """One sound file of a call: where the platform has it, and our copy."""

    class Status(models.TextChoices):
        REMOTE = "remote", _("at the platform")
        FETCHING = "fetching", _("being fetched")
        STORED = "stored", _("stored")
        UNAVAILABLE = "unavailable", _("unavailable")

    call = models.ForeignKey(
        Call, models.CASCADE, db_index=False, related_name="recordings", verbose_name=_("call")
    )
    address = models.CharField(_("address at the platform"), max_length=1000)
    announced_bytes = models.BigIntegerField(_("announced size"), null=True)
    announced_seconds = models.PositiveIntegerField(_("announced length"), null=True)
    status = models.CharField(
        _("status"), max_length=12, choices=Status, default=Status.REMOTE, editable=False
    )
    reason = models.TextField(_("reason"), blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(null=True)
    file = models.FileField(upload_to=name_recording_file, blank=True, max_length=300)
    bytes = models.BigIntegerField(_("size"), null=True)
    content_type = models.CharField(_("type"), max_length=100, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    fetched_at = models.DateTimeField(_("fetched"), null=True)
    #: our copy was deleted then, because its period was over
    deleted_at = models.DateTimeField(_("deleted"), null=True, editable=False)
    created_at = models.DateTimeField(_("announced"), auto_now_add=True)

    class Meta:
        verbose_name = _("recording")
        verbose_name_plural = _("recordings")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["call", "address"], name="one_recording_per_address")
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(status__in=["remote", "fetching"]),
                name="recording_waiting",
            ),
            # few are lost; the first screen counts them
            models.Index(
                fields=["-id"],
                condition=Q(status="unavailable", deleted_at=None),
                name="recording_lost",
            ),
        ]

    def __str__(self) -> str:
        return self.address.rpartition("/")[2]

    def make_info(self) -> dict[str, Any]:
        """What ``show_call`` prints of it."""
        return {
            "url": self.address,
            "state": self.status,
            "seconds": self.announced_seconds,
            "bytes": self.bytes if self.bytes is not None else self.announced_bytes,
        }
