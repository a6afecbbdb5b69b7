"""In: a CSV file of contacts. Out: the same contacts, made by django-import-export in bulk mode.

The baseline of ``bench_import``: what a Django project would write that takes the usual library. It
keeps the same promises as far as the library lets it: numbers in normal form, each once in the
file, the task and its family, nobody of the do-not-call list, no more calls than are allowed, who
is left out kept with a reason, bad rows reported. The lists are fetched once, before the first row.

``ContactResource`` is bulk mode as the library has it: it looks for an existing row by itself. In
``TunedResource`` everything is off that its documentation allows to be off for speed, so that it
tells nobody what would change, and nothing but our own set finds a number that is there already.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from import_export import fields
from import_export.resources import ModelResource
from tablib import Dataset

from campaigns.models import Contact, DoNotCall, Task
from campaigns.phones import PhoneRefused, normalise_phone

DUPLICATE = "Duplicate of an earlier row of this task."
BARRED = "On the do-not-call list."
CAPPED = "More calls than the account allows."


class ContactResource(ModelResource):
    """Contacts of one task."""

    class Meta:
        model = Contact
        fields = ("phone",)
        import_id_fields = ("phone",)
        use_bulk = True

    phone = fields.Field(column_name="客户手机号码", attribute="phone")

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.family = task.family_id or task.pk
        self.columns = list(task.robot.columns)
        self.known: set[str] = set()
        self.barred: set[str] = set()
        self.capped: set[str] = set()

    def get_queryset(self) -> QuerySet[Contact]:
        return Contact.objects.filter(task=self.task)

    def before_import(self, dataset: Dataset, **kwargs: Any) -> None:
        self.known = set(
            Contact.objects.filter(account=self.task.account, family_id=self.family)
            .exclude(status__in=["excluded", "withdrawn"])
            .values_list("phone", flat=True)
        )
        account = self.task.account
        barred = DoNotCall.objects.filter(Q(account=account) | Q(account=None), lifted_at=None)
        self.barred = set(barred.values_list("phone", flat=True))
        called = Contact.objects.filter(account=account, status__in=Contact.UNSETTLED)
        calls = (
            called.values("phone")
            .annotate(calls=Count("id"))
            .filter(calls__gt=account.cap_calls - 1 - self.task.recall_count)
        )
        self.capped = set(calls.values_list("phone", flat=True))

    def before_import_row(self, row: Any, **kwargs: Any) -> None:
        written = row["客户手机号码"]
        row["written"] = written
        try:
            row["客户手机号码"] = normalise_phone(written, region=self.task.account.region)
        except PhoneRefused as refused:
            raise ValidationError(refused.reason) from None

    def before_save_instance(self, instance: Contact, row: Any, **kwargs: Any) -> None:
        instance.task = self.task
        instance.account_id = self.task.account_id
        instance.family_id = self.family
        instance.round = self.task.round
        instance.line_number = kwargs["row_number"] + 1
        instance.phone_raw = row["written"]
        instance.values = {column: row[column] for column in self.columns}
        if instance.phone in self.known:
            instance.status, instance.reason = "excluded", DUPLICATE
        elif instance.phone in self.barred:
            instance.status, instance.reason = "excluded", BARRED
        elif instance.phone in self.capped:
            instance.status, instance.reason = "excluded", CAPPED
        self.known.add(instance.phone)


class TunedResource(ContactResource):
    class Meta(ContactResource.Meta):
        import_id_fields = ()
        force_init_instance = True
        skip_diff = True
        skip_html_diff = True
        report_skipped = False
