"""In: a file of contacts as somebody gave it. Out: rows that tell what it is and what came of it.

``ContactImport`` is the file and every decision about it; ``StagedRow`` is a good row that is no
contact yet; ``RejectedRow`` is a row that never becomes one.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from campaigns.models.history import tell_reason


def name_import_file(contact_import: ContactImport, file_name: str) -> str:
    """A path that nobody can guess; the name somebody gave the file is no part of it."""
    return f"imports/{contact_import.task_id}/{secrets.token_hex(16)}"


class ContactImport(models.Model):
    """One file of contacts: frozen when it came, then read, checked and loaded as was chosen."""

    class Status(models.TextChoices):
        UPLOADED = "uploaded", _("uploaded")
        CHECKING = "checking", _("being checked")
        CHECKED = "checked", _("checked")
        LOADING = "loading", _("being loaded")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("given up")
        UNDONE = "undone", _("taken back")

    #: a job works on it
    BUSY = ("checking", "loading")
    #: somebody may still want to go on with it
    OPEN = ("uploaded", "checking", "checked", "loading")

    class Kind(models.TextChoices):
        TEXT = "text", _("text (CSV, TSV)")
        XLSX = "xlsx", _("Excel workbook (.xlsx)")
        XLS = "xls", _("old Excel workbook (.xls)")

    class Scope(models.TextChoices):
        """Where a number counts as a duplicate; each includes the ones before it."""

        FILE = "file", _("in this file")
        TASK = "task", _("in this task")
        FAMILY = "family", _("in this task and its family")
        DAYS = "days", _("in all tasks of the account, of the last days")
        ACCOUNT = "account", _("in all tasks of the account, whenever")

    class Keep(models.TextChoices):
        FIRST = "first", _("the first row")
        LAST = "last", _("the last row")

    class Origin(models.TextChoices):
        BROWSER = "browser", _("in the browser")
        COMMAND = "command", _("by a command")
        FOLDER = "folder", _("from the watched folder")

    task = models.ForeignKey(
        "campaigns.Task", models.CASCADE, related_name="imports", verbose_name=_("task")
    )
    file_name = models.CharField(_("file"), max_length=255)
    origin = models.CharField(_("came"), max_length=10, choices=Origin, default=Origin.BROWSER)
    #: our frozen copy: what is checked is what is loaded; empty once it is no longer kept
    file = models.FileField(upload_to=name_import_file, blank=True, max_length=300)
    size = models.BigIntegerField(_("size"), default=0)
    #: of the file's bytes; the same file again is known by it
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.TEXT)

    # how it is read: found first, changeable until it is checked
    encoding = models.CharField(_("encoding"), max_length=20, blank=True)
    delimiter = models.CharField(_("delimiter"), max_length=1, blank=True)
    sheet = models.CharField(_("sheet"), max_length=100, blank=True)
    header_line = models.PositiveIntegerField(_("line of the header"), null=True)
    #: the cells of the header, in their order
    header = models.JSONField(_("header"), default=list)

    # what becomes of it
    #: {column of the robot: header in the file}
    mapping = models.JSONField(_("columns"), default=dict)
    #: headers of no column of the robot whose cells are kept with the contact all the same
    kept = models.JSONField(_("kept columns"), default=list)
    duplicates = models.CharField(
        _("duplicates"), max_length=10, choices=Scope, default=Scope.FAMILY
    )
    duplicate_days = models.PositiveSmallIntegerField(
        _("days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
    )
    keep_row = models.CharField(
        _("of rows with one number"), max_length=5, choices=Keep, default="first"
    )

    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.UPLOADED, editable=False
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    reason_values = models.JSONField(default=dict, editable=False)
    #: how far the job is: units done, and how many there are (bytes read, or rows loaded)
    progress = models.BigIntegerField(default=0, editable=False)
    progress_end = models.BigIntegerField(default=0, editable=False)
    #: the last sign of life of the job
    progress_at = models.DateTimeField(null=True, editable=False)

    #: what the check found: see ``importing.report``
    counts = models.JSONField(default=dict, editable=False)
    loaded = models.PositiveIntegerField(_("loaded"), default=0)
    excluded = models.PositiveIntegerField(_("excluded"), default=0)
    rejected = models.PositiveIntegerField(_("rejected"), default=0)

    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    checked_at = models.DateTimeField(_("checked"), null=True, editable=False)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, editable=False)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("confirmed by"),
    )
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)

    class Meta:
        verbose_name = _("contact import")
        verbose_name_plural = _("contact imports")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["sha256"], name="import_sha256"),
            models.Index(
                fields=["status"],
                condition=models.Q(status__in=["checking", "loading"]),
                name="import_busy",
            ),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return tell_reason(self.reason, self.reason_values)

    @property
    def first_rejected(self) -> list[RejectedRow]:
        return list(self.rejected_rows.all()[:5])

    @property
    def check_stamp(self) -> str:
        """What tells one check from another: whoever confirms has seen the one with this stamp."""
        return self.checked_at.isoformat() if self.checked_at else ""

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN


class StagedRow(models.Model):
    """A good row of a checked file that is no contact yet. The table is UNLOGGED: after a crash of
    the database it is empty, and the import is checked again from its frozen file."""

    pk = models.CompositePrimaryKey("contact_import_id", "line")
    contact_import = models.ForeignKey(
        ContactImport, models.CASCADE, related_name="+", db_constraint=False
    )
    line = models.PositiveIntegerField()
    phone = models.TextField()
    phone_raw = models.TextField()
    values = models.JSONField()

    class Meta:
        verbose_name = _("staged row")
        verbose_name_plural = _("staged rows")

    def __str__(self) -> str:
        return f"{self.contact_import_id}/{self.line}"


class RejectedRow(models.Model):
    """A row that cannot be a contact, with where it stands and why."""

    pk = models.CompositePrimaryKey("contact_import_id", "line")
    contact_import = models.ForeignKey(
        ContactImport, models.CASCADE, related_name="rejected_rows", db_constraint=False
    )
    line = models.PositiveIntegerField(pgettext_lazy("of a file", "line"))
    #: the robot's column; empty when it is the row as a whole
    column = models.TextField(_("column"), blank=True)
    code = models.TextField()
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"))
    value = models.TextField(_("value"), blank=True)

    class Meta:
        verbose_name = _("rejected row")
        verbose_name_plural = _("rejected rows")
        ordering = ["contact_import", "line"]

    def __str__(self) -> str:
        return f"{self.contact_import_id}/{self.line}"

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return gettext(self.reason) if self.reason else ""
