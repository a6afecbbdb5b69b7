"""In: what a client of acme asks, and where its calls shall go. Out: answers, and pushed calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from campaigns.platforms.sandbox_faults import Rule
from campaigns.platforms.sandbox_http import Reply, Request
from campaigns.platforms.sandbox_push import Delivery, is_ok
from campaigns.platforms.sandbox_side import PushApp, PushOnlySide

ENDPOINTS = {"/acme/login": "acme/login", "/acme/find": "acme/find"}


class AcmeSandbox(PushOnlySide):
    name: ClassVar[str] = "acme"
    delivery: ClassVar[Delivery] = Delivery(3.0, 1.0, 3, is_ok)

    def name_endpoint(self, path: str) -> str:
        return ENDPOINTS.get(path, "")

    def answer(self, endpoint: str, request: Request, *, rule: Rule | None) -> Reply:
        if endpoint == "acme/find":
            return Reply.json({"jobs": ["77"]})
        told = json.loads(request.body or b"{}")
        right = told == {"app_key": "sandbox-key", "app_secret": "sandbox-secret"}
        return Reply.json({"token": "acme-token"} if right else {"error": "wrong key"})

    def plan_call(self, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        number, now = str(self.give_number()), self.engine.clock.now_ms()
        told = {"acme_call": number, "way": "out", "to": "19900000001", "began": now}
        told |= {"ended": now, "outcome": "nobody", "hung": "us"}
        self.note_call(dict(told), call_id=number, result="nobody")
        self.push(app, "call", told, call=number)
        return {"call": number}
