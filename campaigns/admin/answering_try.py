"""In: a sample request, or a sentence. Out: a page with what each rule finds in it and what would
be answered. Nothing is stored, no function of the installation is told that it is only a trial."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.admin import answering_forms
from campaigns.admin.base import UNMASK, audit_reveal, hide_phones, make_link
from campaigns.answering import find_answer, find_today, make_rule
from campaigns.models import InboundAnswer, SemanticRule
from campaigns.platforms.questions import About, Asked, Question, Said
from campaigns.semantics.rules import Rule, Surroundings, apply_rule

#: real requests that can be picked
PICKED = 10
#: a trial has more time than a call
TRY_SECONDS = 5.0

SAMPLE = {
    "code": "SELF1",
    "robot_id": 1993,
    "call_uuid": "019G2J01JGCV5AO1345H7B5AES074LH5",
    "call_relation_id": "111",
    "caller": "19900000001",
    "direction": 1,
    "context": {"姓名": "张三"},
    "reply": "我今年三十五岁",
    "dialog": [
        {"seq": 0, "node_name": "开始节点", "text_robot": "请问您今年多大？",
         "text_man": "我今年三十五岁"},
    ],
}  # fmt: skip


def try_request(screen: Any, request: HttpRequest) -> HttpResponse:
    """The page: a form, and below it what would be answered."""
    if not screen.has_view_permission(request):
        raise PermissionDenied
    picked = find_picked(request)
    form = answering_forms.TryForm(
        request.POST or None, initial=make_initial(request, picked) if not request.POST else None
    )
    result: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        result = answer_sample(form.cleaned_data, whole=request.user.has_perm(UNMASK))
    return screen.show(
        request,
        "campaigns/semantic_try.html",
        _("Try an answer"),
        form=form,
        result=result,
        recent=list_recent(),
        picked=picked,
    )


def answer_sample(data: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """What the request would be answered now."""
    account = data["account"]
    question: Question = account.vendor.questions[data["kind"]]
    asked_for = replace_asked(question, data)
    body = make_body(data["request"], question.about)
    began = time.monotonic()
    found = find_answer(
        account,
        asked_for,
        body,
        at=timezone.now(),
        left=lambda: began + TRY_SECONDS - time.monotonic(),
    )
    took = (time.monotonic() - began) * 1000
    findings = describe_findings(found.findings, whole=whole)
    answer = question.spell(found.values) if found.values else question.empty
    return {
        "answer": print_answer(answer.decode(), whole=whole),
        "findings": findings,
        "is_empty": not found.values,
        "detail": _(found.detail) if found.detail else "",
        "took": f"{took:.1f}",
        "asked": found.asked,
        "about_rules": question.about is About.MEANING,
    }


def replace_asked(question: Question, data: dict[str, Any]) -> Question:
    """The question read with the code and the robot that were chosen."""

    def read(body: bytes) -> Asked:
        asked = question.read(body)
        if data["code"].strip():
            asked = replace(asked, code=data["code"].strip())
        if data["robot"] is not None:
            asked = replace(asked, robot_id=data["robot"].platform_id)
        return asked

    return replace(question, read=read)


def make_body(text: str, about: About) -> bytes:
    """The request itself, or one made of what somebody says."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        if about is About.VARIABLES:
            told: dict[str, Any] = {"call_relation_id": text}
        else:
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            told = {
                "dialog": [{"seq": seq, "text_man": line} for seq, line in enumerate(lines)],
                "reply": lines[-1] if lines else "",
            }
        text = json.dumps(told, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def print_answer(text: str, *, whole: bool) -> str:
    """JSON on lines that can be read."""
    try:
        value = json.loads(text)
    except ValueError:
        return text if whole else str(hide_phones(text))
    return json.dumps(value if whole else hide_phones(value), ensure_ascii=False, indent=1)


def describe_findings(findings: list[dict[str, Any]], *, whole: bool) -> list[dict[str, Any]]:
    """What each rule and function found, for the page."""
    names: dict[str, Any] = dict(SemanticRule.Kind.choices)
    known = [one["rule"] for one in findings if one.get("rule")]
    rules = SemanticRule.objects.in_bulk(known)
    told = []
    for stored in findings:
        one = stored if whole else hide_phones(stored)
        rule = rules.get(stored.get("rule"))
        told.append(
            {
                "rule": make_link(rule, str(rule)) if rule else one.get("function") or "–",
                "key": one.get("key", ""),
                "kind": names.get(str(one.get("kind")), ""),
                "text": one.get("text", ""),
                "found": one.get("found", ""),
                "value": json.dumps(
                    one["values"] if "function" in one else one.get("value"), ensure_ascii=False
                ),
                "has_value": one.get("value") is not None or bool(one.get("values")),
                "is_default": one.get("default", False),
                "given": one.get("given", "function" in one),
                "why": _(one["why"]) if one.get("why") else "",
            }
        )
    return told


def list_recent() -> list[InboundAnswer]:
    return list(InboundAnswer.objects.select_related("account").order_by("-id")[:PICKED])


def find_picked(request: HttpRequest) -> InboundAnswer | None:
    text = request.GET.get("answer", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return None
    return InboundAnswer.objects.select_related("account").filter(pk=int(text)).first()


def make_initial(request: HttpRequest, picked: InboundAnswer | None) -> dict[str, Any]:
    """A real request that was picked, its phone numbers masked for who may not see them; else an
    invented one."""
    if picked is None:
        return {"request": json.dumps(SAMPLE, ensure_ascii=False, indent=1)}
    receipts = picked.account.receipts.filter(kind=picked.kind, sha256=picked.sha256)
    receipt = receipts.first()
    body = bytes(receipt.body)[: answering_forms.MOST_SAMPLE] if receipt else b""
    text = body.decode("utf-8", "replace").replace("\0", "")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if request.user.has_perm(UNMASK):
        audit_reveal(request, [picked])
    else:
        value, text = hide_phones(value), str(hide_phones(text))
    if value is not None:
        text = json.dumps(value, ensure_ascii=False, indent=1)
    return {"account": picked.account_id, "kind": picked.kind, "request": text}


# ---------------------------------------------------------------------- one rule, without saving it


def try_rule(screen: Any, request: HttpRequest) -> HttpResponse:
    """What the rule of a form that is not saved finds in the form's sample."""
    if request.method != "POST":
        return HttpResponse(status=405)
    if not (screen.has_change_permission(request) or screen.has_add_permission(request)):
        raise PermissionDenied
    form = answering_forms.SemanticRuleForm(request.POST)
    finding = None
    if form.is_valid():
        rule = form.save(commit=False)
        sample = form.cleaned_data["sample"]
        around = Surroundings(
            today=find_today(rule.account, timezone.now()), region=rule.account.region
        )
        finding = apply_rule(make_rule(rule), make_asked(make_rule(rule), sample), around)
    return screen.show(
        request,
        "campaigns/semantic_try_rule.html",
        _("What the rule takes"),
        form=form,
        finding=finding,
        value=json.dumps(finding.value, ensure_ascii=False) if finding else "",
        why=_(finding.why) if finding and finding.why else "",
    )


def make_asked(rule: Rule, sample: str) -> Asked:
    """A request in which the sample stands wherever the rule looks."""
    lines = [line.strip() for line in sample.splitlines() if line.strip()]
    said = tuple(Said(contact=line, node_name=rule.source_name) for line in lines)
    return Asked(
        about=About.MEANING,
        said=said,
        reply=lines[-1] if lines else "",
        context={rule.source_name: sample.strip()},
    )
