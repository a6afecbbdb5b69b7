"""In: what managers configured, and what platforms asked. Out: variables of people who call in,
rules that take a value from what somebody said, and each question with its answer."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from campaigns.masking import mask_numbers
from campaigns.models.accounts import Account, Robot
from campaigns.platforms.questions import MOST_INTEGER


def validate_variables(value: Any) -> None:
    """Names and texts: what a platform takes as a flat map."""
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and name and isinstance(text, str) for name, text in value.items()
    ):
        raise ValidationError(_("This is no list of names with a text each."))


class InboundContext(models.Model):
    """The variables of somebody who may call in, by the relation id that the caller's side gives
    the platform with the call."""

    account = models.ForeignKey(Account, models.CASCADE, verbose_name=_("account"))
    robot = models.ForeignKey(
        Robot, models.CASCADE, null=True, blank=True, verbose_name=_("robot"),
        help_text=_("Empty: whichever robot of the account takes the call."),
    )  # fmt: skip
    relation_id = models.CharField(_("relation id"), max_length=200)
    values = models.JSONField(_("variables"), default=dict, validators=[validate_variables])
    expires_at = models.DateTimeField(
        _("expires"),
        null=True,
        blank=True,
        help_text=_("Empty: after the period for such variables."),
    )
    source = models.ForeignKey(
        "campaigns.ContextImport",
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="contexts",
        verbose_name=_("import"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("caller's variables")
        verbose_name_plural = _("callers' variables")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "relation_id", "robot"],
                condition=Q(robot__isnull=False),
                name="one_context_per_robot",
                violation_error_message=_("There are variables for this id and robot already."),
            ),
            models.UniqueConstraint(
                fields=["account", "relation_id"],
                condition=Q(robot__isnull=True),
                name="one_context_for_all",
                violation_error_message=_("There are variables for this id already."),
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="context_expires")]

    def __str__(self) -> str:
        return mask_numbers(self.relation_id, likely=True)


class ContextDefault(models.Model):
    """The variables of a caller of whom nothing else is known; a robot's stand before its
    account's."""

    account = models.ForeignKey(Account, models.CASCADE, verbose_name=_("account"))
    robot = models.ForeignKey(
        Robot, models.CASCADE, null=True, blank=True, verbose_name=_("robot"),
        help_text=_("Empty: every robot of the account that has none of its own."),
    )  # fmt: skip
    values = models.JSONField(_("variables"), default=dict, validators=[validate_variables])
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("default variables")
        verbose_name_plural = _("default variables")
        ordering = ["account", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "robot"],
                condition=Q(robot__isnull=False),
                name="one_default_per_robot",
                violation_error_message=_("This robot has default variables already."),
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(robot__isnull=True),
                name="one_default_per_account",
                violation_error_message=_("This account has default variables already."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.robot}" if self.robot_id else str(self.account)


class ContextImport(models.Model):
    """One file of variables, and what came of it."""

    account = models.ForeignKey(Account, models.CASCADE, verbose_name=_("account"))
    robot = models.ForeignKey(Robot, models.CASCADE, null=True, blank=True, verbose_name=_("robot"))
    file_name = models.CharField(_("file"), max_length=255)
    sha256 = models.CharField(max_length=64, blank=True)
    id_column = models.CharField(_("column of the relation id"), max_length=200, blank=True)
    columns = models.JSONField(_("variables"), default=list)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    added = models.PositiveIntegerField(_("added"), default=0)
    updated = models.PositiveIntegerField(_("updated"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    rejected = models.PositiveIntegerField(_("rejected"), default=0)
    #: [{"line", "column", "reason", "value"}], the first ones; ``rejected`` counts all
    rejected_rows = models.JSONField(_("rejected rows"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )

    class Meta:
        verbose_name = _("import of variables")
        verbose_name_plural = _("imports of variables")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.file_name


class SemanticRule(models.Model):
    """Takes one value from what somebody said, for the requests of one code."""

    class Kind(models.TextChoices):
        NUMBER = "number", _("a number")
        PHONE = "phone", _("a phone number")
        DATE = "date", _("a date")
        AMOUNT = "amount", _("an amount of money")
        CHOICE = "choice", _("one of several words")
        PATTERN = "pattern", _("what fits a pattern")

    class Source(models.TextChoices):
        LAST_ANSWER = "last_answer", _("the last answer in the dialog")
        ANY_ANSWER = "any_answer", _("the newest answer that has one")
        REPLY = "reply", _("the request's field “reply”")
        NODE = "node", _("the answer at a node of the script")
        CONTEXT = "context", _("a variable of the script")

    class Type(models.TextChoices):
        INTEGER = "integer", _("whole number")
        STRING = "string", _("text")

    class Which(models.TextChoices):
        FIRST = "first", _("the first")
        LAST = "last", _("the last")

    class Side(models.TextChoices):
        FUTURE = "future", _("the next that comes")
        PAST = "past", _("the last that was")
        NEAREST = "nearest", _("the nearest")

    account = models.ForeignKey(Account, models.CASCADE, verbose_name=_("account"))
    robot = models.ForeignKey(
        Robot, models.CASCADE, null=True, blank=True, verbose_name=_("robot"),
        help_text=_("Empty: every robot of the account."),
    )  # fmt: skip
    code = models.CharField(
        _("code"),
        max_length=100,
        help_text=_("The function code of the node in the script, like SELF1."),
    )
    order = models.PositiveSmallIntegerField(
        _("order"),
        default=10,
        validators=[MaxValueValidator(10_000)],
        help_text=_("Of rules with the same key, the first that finds something counts."),
    )
    kind = models.CharField(_("finds"), max_length=10, choices=Kind, default=Kind.NUMBER)
    source = models.CharField(
        _("looks at"), max_length=12, choices=Source, default=Source.LAST_ANSWER
    )
    source_name = models.CharField(
        _("node or variable"),
        max_length=200,
        blank=True,
        help_text=_("The name of the node, or of the variable, where one is looked at."),
    )
    after = models.CharField(
        _("only behind"),
        max_length=50,
        blank=True,
        help_text=_("Only what was said behind this word counts, like 高压."),
    )
    pattern = models.CharField(
        _("pattern"),
        max_length=300,
        blank=True,
        help_text=_("A regular expression; what stands in its first brackets is the value."),
    )
    #: [[word, value], …]
    choices = models.JSONField(_("words"), default=list, blank=True)
    unit = models.CharField(
        _("counted in"),
        max_length=20,
        blank=True,
        help_text=_("A unit like 岁 or 公斤: other units of the kind are converted. Empty: any."),
    )
    which = models.CharField(_("of several"), max_length=5, choices=Which, default=Which.FIRST)
    low = models.BigIntegerField(
        _("at least"),
        null=True,
        blank=True,
        validators=[MinValueValidator(-MOST_INTEGER), MaxValueValidator(MOST_INTEGER)],
    )
    high = models.BigIntegerField(
        _("at most"),
        null=True,
        blank=True,
        validators=[MinValueValidator(-MOST_INTEGER), MaxValueValidator(MOST_INTEGER)],
    )
    side = models.CharField(
        _("a date without its year"), max_length=8, choices=Side, default=Side.FUTURE
    )
    key = models.CharField(
        _("key"),
        max_length=100,
        help_text=_("The name under which the script gets the value."),
    )
    type = models.CharField(_("type"), max_length=8, choices=Type, default=Type.INTEGER)
    default = models.CharField(
        _("otherwise"),
        max_length=300,
        blank=True,
        help_text=_("Answered when nothing is found. Empty: the key is left out."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("semantic rule")
        verbose_name_plural = _("semantic rules")
        ordering = ["account", "code", "order", "id"]
        indexes = [models.Index(fields=["account", "code"], name="semantic_code")]

    def __str__(self) -> str:
        return f"{self.code}: {self.key}"


class InboundAnswer(models.Model):
    """One question of a platform, and what it was answered. The request's bytes are the receipt of
    the same account, kind and SHA-256; one that is asked twice is one receipt and two of these."""

    class Outcome(models.TextChoices):
        ANSWERED = "answered", pgettext_lazy("question", "answered")
        EMPTY = "empty", _("nothing to say")
        UNREADABLE = "unreadable", _("not understood")
        FAILED = "failed", _("failed")
        LATE = "late", _("too late")

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="inbound_answers", verbose_name=_("account")
    )
    kind = models.CharField(_("kind"), max_length=64)
    sha256 = models.BinaryField(max_length=32)
    code = models.CharField(_("code"), max_length=200, blank=True)
    platform_robot_id = models.CharField(_("robot id there"), max_length=100, blank=True)
    platform_call_id = models.CharField(_("call id"), max_length=200, blank=True)
    relation_id = models.CharField(_("relation id"), max_length=200, blank=True)
    #: what the platform got
    answer = models.TextField(_("answer"))
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome)
    #: an English sentence when something went wrong
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    #: [{"rule", "key", "text", "found", "value", "default", "why"}] of rules and functions
    findings = models.JSONField(_("what was found"), default=list)
    asked_at = models.DateTimeField(_("asked"))
    took_ms = models.FloatField(_("took"))

    class Meta:
        verbose_name = _("question of a platform")
        verbose_name_plural = _("questions of platforms")
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["account", "platform_call_id"],
                condition=~Q(platform_call_id=""),
                name="answer_call",
            ),
            models.Index(
                fields=["account", "relation_id"],
                condition=~Q(relation_id=""),
                name="answer_relation",
            ),
            models.Index(fields=["outcome", "-id"], name="answer_outcome"),
            models.Index(fields=["code", "-id"], name="answer_code"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
