"""In: the models that hold configuration. Out: who changed which field of them, and when, kept.

Secrets are never kept: of the credentials only that they changed; what the program itself writes on
the rows (times of checks, addresses seen) is not a person's change.
"""

from __future__ import annotations

from typing import Any

from auditlog.registry import auditlog
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from campaigns.models import (
    Account,
    CallbackToken,
    ContextDefault,
    DoNotCallRule,
    Holiday,
    KeepRule,
    NoticeHook,
    NoticeRule,
    SemanticRule,
)

#: also the rows that point here, which auditlog takes for fields
BY_PROGRAM = [
    "callback_tokens",
    "exchanges",
    "receipts",
    "token",
    "next_request_at",
    "callback_urls",
    "connection_checked_at",
    "connection_error",
    "synced_at",
    "created_at",
    "donotcall",
    "donotcallrule",
    "barlistimport",
    "inbound_answers",
    "inboundcontext",
    "contextdefault",
    "contextimport",
    "semanticrule",
    "failed_push_days",
    "gaps",
    "keep_rule",
    "erasure",
    "notices",
    "notice_rules",
]


def hide_value(value: Any) -> str:
    """What stands for a secret: changed secrets read alike, that they changed is kept."""
    return "••••"


def register_configuration() -> None:
    """Called once, when the applications are ready."""
    auditlog.register(
        Account,
        exclude_fields=BY_PROGRAM,
        mask_fields=["credentials"],
        mask_callable="campaigns.auditing.hide_value",
    )
    auditlog.register(CallbackToken, exclude_fields=["hash", "last_used_at"])
    auditlog.register(DoNotCallRule)
    auditlog.register(ContextDefault)
    auditlog.register(SemanticRule)
    auditlog.register(Holiday)
    auditlog.register(KeepRule)
    auditlog.register(
        NoticeHook,
        exclude_fields=["rotated_at", "created_at", "rules", "deliveries"],
        mask_fields=["secrets"],
        mask_callable="campaigns.auditing.hide_value",
    )
    auditlog.register(
        NoticeRule,
        exclude_fields=["since", "looked_at", "matches", "notices"],
        m2m_fields={"groups", "users", "hooks"},
    )
    auditlog.register(
        get_user_model(),
        exclude_fields=["last_login"],
        mask_fields=["password"],
        mask_callable="campaigns.auditing.hide_value",
        m2m_fields={"groups", "user_permissions"},
    )
    auditlog.register(Group, m2m_fields={"permissions"})
