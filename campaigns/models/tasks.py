"""In: what a campaign manager wants called. Out: tasks, their contacts, and what was sent of them.

Statuses are written by ``campaigns.lifecycle`` alone.
"""

from __future__ import annotations

from datetime import time

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop as N_

from campaigns.masking import mask_phone
from campaigns.models.accounts import Account, Line, Robot, Voice
from campaigns.models.history import tell_reason
from campaigns.models.lookups import NamedField, StagedField
from campaigns.platforms.contract import Can


class Task(models.Model):
    """One campaign at a platform, or one direct call of a few numbers (``kind`` direct)."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        LOADING = "loading", _("loading")
        LOADED = "loaded", _("loaded")
        STARTING = "starting", _("starting")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        FINISHED = "finished", _("finished")
        DELETED = "deleted", _("deleted")
        FAILED = "failed", _("failed")

    class Kind(models.TextChoices):
        CAMPAIGN = "campaign", _("campaign")
        DIRECT = "direct", _("direct call")

    class Request(models.TextChoices):
        """What an operator asked for that the platform has not confirmed yet."""

        NONE = "", _("nothing")
        PAUSE = "pause", _("pausing…")
        RESUME = "resume", _("resuming…")
        DELETE = "delete", _("deleting…")
        REBUILD = "rebuild", _("handing over anew…")

    account = models.ForeignKey(Account, models.PROTECT, verbose_name=_("account"))
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.CAMPAIGN)
    robot = models.ForeignKey(Robot, models.PROTECT, verbose_name=_("robot"))
    lines = models.ManyToManyField(Line, verbose_name=_("lines"))
    voice = models.ForeignKey(Voice, models.PROTECT, null=True, blank=True, verbose_name=_("voice"))
    speed = models.IntegerField(_("speed"), null=True, blank=True)
    recall_count = models.PositiveSmallIntegerField(
        _("recalls"),
        default=0,
        help_text=_("How often the platform calls again somebody who did not answer."),
    )
    recall_wait_seconds = models.PositiveIntegerField(
        _("wait before a recall"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(7 * 86400)],
        help_text=_("In seconds."),
    )
    #: [["09:00:00", "12:00:00"], …] in the account's zone; [] leaves it to the lines
    windows = models.JSONField(_("calling windows"), default=list, blank=True)
    begin_at = models.DateTimeField(
        _("begin"), null=True, blank=True, help_text=_("Empty: as soon as it is launched.")
    )
    end_at = models.DateTimeField(_("end"), null=True, blank=True)
    turbo = models.BooleanField(
        _("high performance mode"),
        default=False,
        help_text=_("Offered by the platform, which does not say what it does."),
    )

    watch_folder = models.BooleanField(
        _("watch its folder"),
        default=False,
        help_text=_("Files that are put into the task's folder are imported while it is a draft."),
    )

    daily_cap = models.PositiveIntegerField(
        _("contacts per day"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("At most so many are called on one day, by the account's zone. Empty: all."),
    )
    #: the task whose test call this is
    trial_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, editable=False, related_name="trials"
    )

    #: the first task of a family of re-dials, itself when there is none
    family = models.ForeignKey(
        "self", models.PROTECT, null=True, editable=False, related_name="rounds"
    )
    round = models.PositiveSmallIntegerField(_("round"), default=1, editable=False)

    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.DRAFT, editable=False
    )
    #: why it is where it is: an English sentence, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    needs_attention = models.BooleanField(_("needs attention"), default=False, editable=False)
    request = models.CharField(
        _("request"), max_length=10, choices=Request, default="", blank=True, editable=False
    )
    requested_at = models.DateTimeField(null=True, editable=False)

    #: the rule that holds it back now ("" none), in words and values, and until when, if known
    hold_rule = models.CharField(max_length=20, blank=True, editable=False)
    hold_reason = models.TextField(blank=True, editable=False)
    hold_values = models.JSONField(default=dict, editable=False)
    held_at = models.DateTimeField(null=True, editable=False)
    held_until = models.DateTimeField(null=True, editable=False)
    #: filled one batch at a time, counted after each: its count has once been wrong or ambiguous
    one_by_one = models.BooleanField(default=False, editable=False)
    #: the rule that had it paused, and lets it go on by itself when it holds no more
    paused_by_rule = models.CharField(max_length=20, blank=True, editable=False)

    #: the name the platform knows: ours and a mark, so that it can be found by asking
    platform_name = models.CharField(_("name at the platform"), max_length=150, editable=False)
    platform_task_id = models.CharField(
        _("platform id"), max_length=100, blank=True, editable=False
    )
    platform_state = models.CharField(
        _("state at the platform"), max_length=20, blank=True, editable=False
    )
    platform_contacts = models.PositiveIntegerField(
        _("contacts at the platform"), null=True, editable=False
    )
    #: the windows it was made with; None of one that is not made yet, or was by an older version
    platform_windows = models.JSONField(null=True, editable=False)
    platform_counts = models.JSONField(_("platform's counters"), default=dict, editable=False)
    platform_checked_at = models.DateTimeField(_("asked"), null=True, editable=False)
    #: when it was last asked for the calls of the task, where there is no state to ask for
    results_asked_at = models.DateTimeField(null=True, editable=False)

    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    launched_at = models.DateTimeField(_("launched"), null=True, editable=False)
    launched_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("launched by"),
    )
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    #: nothing is sent for it before this moment, after the platform was busy or away
    not_before = models.DateTimeField(null=True, editable=False)
    #: how often in a row the platform was busy or away; the wait doubles with it
    setbacks = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        ordering = ["-id"]
        permissions = [
            ("launch_task", N_("Can launch, pause, resume and delete tasks at the platform")),
            ("call_directly", N_("Can call numbers directly")),
            ("unmask_phone", N_("Can see whole phone numbers")),
            ("export_data", N_("Can export data")),
        ]
        indexes = [
            models.Index(fields=["status"], name="task_status"),
            models.Index(fields=["account", "platform_task_id"], name="task_platform_id"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return gettext(self.reason) if self.reason else ""

    @property
    def hold_text(self) -> str:
        """What holds it back, in the reader's language."""
        return tell_reason(self.hold_reason, self.hold_values)

    @property
    def fills_instances(self) -> bool:
        """Whether the platform dials what it is given at once, in instances of its own."""
        return self.kind == self.Kind.CAMPAIGN and Can.FILL_INSTANCES in self.account.vendor.can

    @property
    def hours(self) -> list[tuple[time, time]]:
        return [(time.fromisoformat(begin), time.fromisoformat(end)) for begin, end in self.windows]


class Instance(models.Model):
    """One of the tasks at the platform that together are one of ours: where the platform holds only
    so many contacts in one, and dials what is put in at once. It is made when its first contacts
    are handed over; until then it has no ``platform_task_id``."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="instances", verbose_name=_("task"))
    number = models.PositiveIntegerField(_("number"))
    platform_name = models.CharField(_("name at the platform"), max_length=150, blank=True)
    platform_task_id = models.CharField(_("platform id"), max_length=100, blank=True)
    platform_state = models.CharField(_("state at the platform"), max_length=20, blank=True)
    platform_word = models.CharField(_("platform's state"), max_length=100, blank=True)
    #: {their id of a part: {"name", "state", "word", "counts"}}, as pushes told it
    nodes = models.JSONField(_("parts"), default=dict)
    platform_checked_at = models.DateTimeField(_("told"), null=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("instance")
        verbose_name_plural = _("instances")
        ordering = ["task", "number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="one_instance_per_number")
        ]
        indexes = [
            models.Index(
                fields=["platform_task_id"],
                condition=~Q(platform_task_id=""),
                name="instance_platform_id",
            )
        ]

    def __str__(self) -> str:
        return f"{self.task_id}/{self.number}"


class Batch(models.Model):
    """Contacts that go to the platform in one request, once.

    When nothing was sent, or the platform was busy, its contacts are ready again and go into a new
    batch: no batch ever leads back from ``sending`` to ``planned``.
    """

    class Status(models.TextChoices):
        PLANNED = "planned", _("planned")
        SENDING = "sending", _("sending")
        ACCEPTED = "accepted", _("accepted")
        REFUSED = "refused", _("refused")
        NOT_SENT = "not_sent", _("not sent")
        UNKNOWN = "unknown", pgettext_lazy("outcome", "unknown")
        WITHDRAWN = "withdrawn", _("withdrawn")

    #: an index of its own would be the beginning of another one
    task = models.ForeignKey(
        Task, models.CASCADE, db_index=False, related_name="batches", verbose_name=_("task")
    )
    instance = models.ForeignKey(
        Instance, models.CASCADE, null=True, related_name="batches", verbose_name=_("instance")
    )
    number = models.PositiveIntegerField(_("number"))
    size = models.PositiveIntegerField(_("contacts"))
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.PLANNED, editable=False
    )
    reason = models.TextField(_("reason"), blank=True, editable=False)
    #: no contact of it is called before this moment: the hours of their region are over
    not_before = models.DateTimeField(_("waits until"), null=True, editable=False)
    #: where its numbers are, if not at home: [[country, [zone, …]], …]; None: nobody looked yet
    places = models.JSONField(null=True, editable=False)
    #: the platform's count of contacts was right with it, and nothing was on its way
    counted = models.BooleanField(default=False, editable=False)
    #: [{"rule", "value", "at"}]: what was looked at, and held, when it left
    checks = models.JSONField(_("checks"), default=list, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        ordering = ["task", "number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="one_batch_per_number")
        ]
        indexes = [
            models.Index(fields=["status"], name="batch_status"),
            # Each claim looks for the first one; those before it were sent long ago.
            models.Index(
                fields=["task", "number"], condition=Q(status="planned"), name="batch_planned"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}/{self.number}"


class Attempt(models.Model):
    """One attempt to have the platform do something that leads to calls. Never reused.

    ``sending`` is committed before the socket opens; from there only an answer, or a person, leads
    on.
    """

    class Status(models.TextChoices):
        SENDING = "sending", _("sending")
        ACCEPTED = "accepted", _("accepted")
        REFUSED = "refused", _("refused")
        NOT_SENT = "not_sent", _("not sent")
        UNKNOWN = "unknown", pgettext_lazy("outcome", "unknown")
        CONFIRMED_ACCEPTED = "confirmed_accepted", _("confirmed: accepted")
        CONFIRMED_ABSENT = "confirmed_absent", _("confirmed: never arrived")
        NEEDS_HUMAN = "needs_human", _("needs a decision")
        HUMAN_ACCEPTED = "human_accepted", _("decided: accepted")
        HUMAN_RESEND = "human_resend", _("decided: send again")

    class Command(models.TextChoices):
        CREATE = "create", _("create task")
        INSERT = "insert", _("insert contacts")
        START = "start", _("start task")
        CALLOUT = "callout", _("call directly")

    task = models.ForeignKey(Task, models.CASCADE, related_name="attempts", verbose_name=_("task"))
    batch = models.ForeignKey(
        Batch, models.CASCADE, null=True, related_name="attempts", verbose_name=_("batch")
    )
    instance = models.ForeignKey(
        Instance, models.CASCADE, null=True, related_name="attempts", verbose_name=_("instance")
    )
    command = models.CharField(_("command"), max_length=10, choices=Command)
    status = models.CharField(
        _("status"), max_length=20, choices=Status, default=Status.SENDING, editable=False
    )
    reason = models.TextField(_("reason"), blank=True, editable=False)
    code = models.CharField(_("platform's code"), max_length=20, blank=True)
    #: what the transport saw: an English phrase without secrets and numbers
    fault = models.CharField(_("fault"), max_length=300, blank=True)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    #: until then the sender may write its first byte
    lease_until = models.DateTimeField(editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)
    #: when the platform was last asked what became of it
    asked_at = models.DateTimeField(null=True, editable=False)
    #: [{"at", "answer"}]: what was asked afterwards and what came back
    evidence = models.JSONField(_("evidence"), default=list)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["-id"]
        constraints = [
            # At most one request of a kind is under way, or of unknown outcome, for a task ...
            models.UniqueConstraint(
                fields=["task", "command"],
                condition=Q(batch=None, status__in=["sending", "unknown", "needs_human"]),
                name="one_open_attempt_per_command",
            ),
            # ... and for a batch none follows one that was, or may have been, carried out.
            models.UniqueConstraint(
                fields=["batch"],
                condition=Q(
                    status__in=[
                        "sending",
                        "unknown",
                        "needs_human",
                        "accepted",
                        "confirmed_accepted",
                        "human_accepted",
                    ]
                ),
                name="one_live_attempt_per_batch",
            ),
        ]
        indexes = [models.Index(fields=["status"], name="attempt_status")]

    def __str__(self) -> str:
        return f"{self.get_command_display()} {self.id}"


class Contact(models.Model):
    """One row to call."""

    class Status(models.TextChoices):
        READY = "ready", _("ready")
        EXCLUDED = "excluded", _("excluded")
        PLANNED = "planned", _("planned")
        SENDING = "sending", _("sending")
        UNKNOWN = "unknown", pgettext_lazy("outcome", "unknown")
        ACCEPTED = "accepted", _("accepted")
        REJECTED = "rejected", _("rejected")
        FINISHED = "finished", _("finished")
        WITHDRAWN = "withdrawn", _("withdrawn")

    #: somebody may be called for it, or may have been: one at a time per number, family and round
    UNSETTLED = ("planned", "sending", "unknown", "accepted")
    FINAL = ("excluded", "rejected", "finished", "withdrawn")
    #: the stages of those that are not settled, as SQL has them
    UNSETTLED_STAGES_SQL = "('moving', 'unknown')"

    #: the index of its own would be the beginning of two others
    task = models.ForeignKey(
        Task, models.CASCADE, db_index=False, related_name="contacts", verbose_name=_("task")
    )
    #: Nobody asks for all contacts of an account, and each row is written four times.
    account = models.ForeignKey(
        Account, models.PROTECT, db_index=False, editable=False, related_name="+"
    )
    family_id = models.BigIntegerField(editable=False)
    round = models.PositiveSmallIntegerField(_("round"), default=1, editable=False)
    source = models.ForeignKey(
        "campaigns.ContactImport",
        models.SET_NULL,
        null=True,
        related_name="contacts",
        verbose_name=_("import"),
    )
    line_number = models.PositiveIntegerField(_("line of the file"), null=True)
    phone = models.CharField(_("phone"), max_length=20)
    phone_raw = models.CharField(_("phone as written"), max_length=100, blank=True)
    #: {column of the robot: value}, the phone column included
    values = models.JSONField(_("values"), default=dict)

    status = StagedField(
        _("status"), max_length=10, choices=Status, default=Status.READY, editable=False
    )
    #: What the indexes know of the status. They name no column that changes while a contact is
    #: handed over, so that PostgreSQL writes the row alone then, and no index (a HOT update).
    stage = models.GeneratedField(
        expression=Case(
            When(status__in=["planned", "sending", "accepted"], then=Value("moving")),
            default=F("status"),
            output_field=models.CharField(max_length=10),
        ),
        output_field=models.CharField(max_length=10),
        db_persist=True,
        editable=False,
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    reason_values = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), editable=False
    )
    batch = models.ForeignKey(
        Batch, models.SET_NULL, null=True, related_name="contacts", verbose_name=_("batch")
    )
    #: found by it through ``ContactName``
    platform_contact_id = NamedField(_("platform id"), max_length=100, blank=True)

    # what came back, kept by ingest
    calls_made = models.PositiveSmallIntegerField(_("calls"), default=0, editable=False)
    answered = models.BooleanField(_("answered"), default=False, editable=False)
    result = models.CharField(_("result"), max_length=20, blank=True, editable=False)
    intention = models.CharField(_("intention"), max_length=50, blank=True, editable=False)
    last_call_at = models.DateTimeField(_("last call"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "phone", "family_id", "round"],
                # of just the states in UNSETTLED
                condition=Q(stage__in=["moving", "unknown"]),
                name="one_unsettled_contact",
            ),
        ]
        indexes = [
            models.Index(fields=["task", "stage", "id"], name="contact_task_stage"),
            # a number is in few tasks: this serves those who look for it in one of them as well
            models.Index(fields=["phone", "task"], name="contact_phone_task"),
        ]

    def __str__(self) -> str:
        return mask_phone(self.phone)

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language; the platform's code before it stays as it is."""
        code, _space, sentence = self.reason.partition(" ")
        if code.isdigit() and sentence:
            return f"{code} {gettext(sentence)}"
        return tell_reason(self.reason, self.reason_values)


class ContactName(models.Model):
    """The platform's id of a contact, to find the contact by it. The acceptance of a batch writes
    it; triggers of the contacts write and delete it wherever else an id comes or goes."""

    pk = models.CompositePrimaryKey("platform_contact_id", "contact_id")
    platform_contact_id = models.CharField(max_length=100)
    contact_id = models.BigIntegerField()

    class Meta:
        verbose_name = _("platform id")
        verbose_name_plural = _("platform ids")
        default_permissions = ()

    def __str__(self) -> str:
        return self.platform_contact_id
