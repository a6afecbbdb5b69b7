"""In: what a client of AI Rudder sends. Out: what it would answer, call and push.

The pretend side of its cloud API, as far as platforms/facts.md knows it, over the shared engine. It
calls nobody. No text has a failing answer: this one's codes and words are its own, in the shape of
a good answer with ``data`` null, mostly with HTTP 200 as the text says.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from campaigns.platforms.airudder.sandbox_workflows import MOST_CONTACTS, Case, Instance, Workflows
from campaigns.platforms.sandbox_clock import SHANGHAI
from campaigns.platforms.sandbox_engine import Engine
from campaigns.platforms.sandbox_faults import Rule
from campaigns.platforms.sandbox_http import Reply, Request
from campaigns.platforms.sandbox_side import PushApp

PATHS = {
    "/service/cloud/auth": "auth",
    "/service/cloud/workflow/createinstance": "createinstance",
    "/service/cloud/workflow/uploaddetails": "uploaddetails",
    "/service/cloud/workflow/detailinstances": "detailinstances",
    "/service/cloud/workflow/taskdetail": "taskdetail",
    "/service/cloud/workflow/apinoticeinfo": "apinoticeinfo",
}
DEMO_SECRET = "sandbox-secret"
TOKEN_SECONDS = 86_400
TOKENS_KEPT = 10_000
#: "up to three months"
HISTORY_SECONDS = 92 * 86_400

BAD, NO_TOKEN, UNKNOWN, FULL, FAULT = 40000, 401, 40004, 40013, 50000


class Refused(Exception):
    """The request fails with this code, and nothing is done."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class AIRudderSandbox(Workflows):
    """The side of AI Rudder. An application may have ``app_secret``, ``token_seconds`` (86,400)
    and what ``Workflows`` reads."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        #: token → (app, when it dies, in steady seconds)
        self._tokens: dict[str, tuple[str, float]] = {}
        self._acts: dict[str, Callable[[PushApp, Mapping[str, Any], bool], Any]] = {
            "createinstance": self._create,
            "uploaddetails": self._upload,
            "detailinstances": self._find,
            "taskdetail": self._tell_calls,
            "apinoticeinfo": self._verify,
        }

    # HTTP

    def name_endpoint(self, path: str) -> str:
        name = PATHS.get(path.rstrip("/"))
        return f"{self.name}/{name}" if name else super().name_endpoint(path)

    def answer(self, endpoint: str, request: Request, *, rule: Rule | None) -> Reply:
        name = endpoint.partition("/")[2]
        if name == "file":
            return super().answer(endpoint, request, rule=rule)
        try:
            body = _read_body(request)
            with self.lock:
                if name == "auth":
                    data: Any = self._give_token(body)
                else:
                    app = self._find_app(request)
                    half = rule is not None and rule.kind == "act_half"
                    data = self._acts[name](app, body, half)
        except Refused as refusal:
            return _fail(refusal.code, str(refusal))
        if rule is not None and rule.kind == "code_after":
            return _fail(int(rule.number("code", FAULT)), "sandbox fault")
        return Reply.json({"data": data, "status": "OK", "code": 200})

    def refuse(self, endpoint: str, request: Request, *, rule: Rule) -> Reply:
        if rule.kind == "token_dies":
            with self.lock:
                self._tokens.pop(_read_token(request), None)
            return _fail(NO_TOKEN, "The token is not valid.")
        return _fail(int(rule.number("code", FAULT)), "sandbox fault")

    def spoil(self, endpoint: str, reply: Reply, *, rule: Rule) -> Reply:
        if not isinstance(reply.payload, dict) or reply.payload.get("code") != 200:
            return reply
        told = json.loads(json.dumps(reply.payload))
        match rule.kind:
            case "code_false":
                told["code"] = False
            case "code_string":
                told["code"] = "200"
            case "code_float":
                told["code"] = 200.0
            case "no_result":
                del told["data"]
            case _:
                return reply
        return Reply.json(told)

    def _give_token(self, body: Mapping[str, Any]) -> dict[str, str]:
        """A new one each time; asking again keeps those of before for another day."""
        key, secret = _read(body, "APPKey", str), _read(body, "APPSecret", str)
        app = self.apps.get(key)
        if app is None or app.wish.get("app_secret", DEMO_SECRET) != secret:
            raise Refused(NO_TOKEN, "APPKey or APPSecret is wrong.")
        dies_at = self.engine.clock.steady() + app.wish.get("token_seconds", TOKEN_SECONDS)
        for token, (owner, until) in list(self._tokens.items()):
            if owner == key and until > self.engine.clock.steady():
                self._tokens[token] = (key, dies_at)
        text = secrets.token_hex(20)
        self._tokens[text] = (key, dies_at)
        while len(self._tokens) > TOKENS_KEPT:
            self._tokens.pop(next(iter(self._tokens)))
        return {"token": text}

    def _find_app(self, request: Request) -> PushApp:
        key, dies_at = self._tokens.get(_read_token(request), ("", 0.0))
        app = self.apps.get(key)
        if app is None or dies_at <= self.engine.clock.steady():
            raise Refused(NO_TOKEN, "The token is not valid.")
        return app

    # What can be asked of it

    def _create(self, app: PushApp, body: Mapping[str, Any], half: bool) -> dict[str, Any]:
        template_id = _read(body, "workflow_template_id", int)
        name, end = _read(body, "name", str), _read(body, "end_time", str)
        templates = app.wish.get("templates")
        if template_id < 1 or (templates is not None and template_id not in templates):
            raise Refused(UNKNOWN, "There is no such template.")
        end_at = _read_time(end, zoned=True)
        if not name or end_at <= self.engine.clock.now():
            raise Refused(BAD, "name or end_time cannot be used.")
        made = self.add_instance(app, name=name, template_id=template_id, end_at=end_at)
        return {"workflow_id": made["id"]}

    def _upload(self, app: PushApp, body: Mapping[str, Any], half: bool) -> dict[str, Any]:
        instance = self._find_instance(app, body)
        rows = [_read_row(row) for row in _read(body, "details", list)]
        if not rows or instance["end_at"] <= self.engine.clock.now():
            raise Refused(BAD, "There are no rows, or the workflow has ended.")
        if len(self.cases.get(instance["id"], ())) + len(rows) > MOST_CONTACTS:
            raise Refused(FULL, f"A workflow holds at most {MOST_CONTACTS} contacts.")
        self.add_contacts(instance, rows[: len(rows) // 2] if half else rows)
        return {}

    def _find(self, app: PushApp, body: Mapping[str, Any], half: bool) -> list[dict[str, Any]]:
        begin_at = _read_time(_read(body, "start_time", str))
        end_at = _read_time(_read(body, "end_time", str))
        return [
            {"workflow_id": instance["id"], "workflow_name": instance["name"]}
            for instance in self.instances.values()
            if instance["app_key"] == app.key
            and any(
                begin_at <= case["added_at"] < end_at + 1
                and body.get("case_id", case["case_id"]) == case["case_id"]
                and body.get("callee", case["number"]) == case["number"]
                for case in self.cases.get(instance["id"], ())
            )
        ]

    def _tell_calls(
        self, app: PushApp, body: Mapping[str, Any], half: bool
    ) -> list[dict[str, Any]]:
        instance = self._find_instance(app, body)
        return [
            {
                **case["record"],
                "nodetask_id": instance["node_task_id"],
                "nodetask_name": "PDS1",
                "case_id": case["case_id"],
            }
            for case in self._list_ended(instance)
        ]

    def _verify(self, app: PushApp, body: Mapping[str, Any], half: bool) -> dict[str, Any]:
        instance = self._find_instance(app, body)
        node_id, callee = _read(body, "node_id", str), _read(body, "callee", str)
        found = [
            case["record"]
            for case in self._list_ended(instance)
            if case["record"]["node_id"] == node_id
            and case["number"] == callee
            and body.get("case_id", case["case_id"]) == case["case_id"]
            and case["ended_at"] > self.engine.clock.now() - HISTORY_SECONDS
        ]
        if not found:
            raise Refused(UNKNOWN, "There is no such push within three months.")
        told: dict[str, Any] = found[-1]
        return told

    def _find_instance(self, app: PushApp, body: Mapping[str, Any]) -> Instance:
        found = self.instances.get(_read(body, "workflow_id", str))
        if found is None or found["app_key"] != app.key:
            raise Refused(UNKNOWN, "There is no such workflow.")
        return found

    def _list_ended(self, instance: Instance) -> list[Case]:
        now = self.engine.clock.now()
        return [case for case in self.cases.get(instance["id"], ()) if case["ended_at"] <= now]

    # Control

    def list_tasks(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        with self.lock:
            return [
                {
                    "task_id": instance["id"],
                    "app_key": instance["app_key"],
                    "task_name": instance["name"],
                    "status": instance["state"],
                    "rows": self.count(instance),
                }
                for instance in self.instances.values()
                if filters.get("task_id", instance["id"]) == instance["id"]
                and filters.get("app_key", instance["app_key"]) == instance["app_key"]
            ]

    def reset(self) -> None:
        with self.lock:
            self._tokens.clear()
        super().reset()


def _read_body(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST" or kind != "application/json" or request.body is None:
        raise Refused(BAD, "POST a JSON object.")
    try:
        body = json.loads(request.body.decode())
    except (ValueError, RecursionError):
        raise Refused(BAD, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise Refused(BAD, "The body is not an object.")
    return body


def _read_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Token" else ""


def _read(body: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field of exactly this type (a bool is no int)."""
    if type(body.get(name)) is not kind:
        raise Refused(BAD, f"{name} is missing or of another type.")
    return body[name]


def _read_time(text: str, *, zoned: bool = False) -> float:
    """A time in words: with its offset, or one of Shanghai."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(BAD, "A time cannot be read.") from None
    if len(text) != (25 if zoned else 19) or text[10] != " ":
        raise Refused(BAD, "A time is written in another way.")
    return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).timestamp()


def _read_row(row: Any) -> dict[str, Any]:
    """The number is in ``callee``, else in the first field."""
    if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
        raise Refused(BAD, "A row is not an object of texts.")
    field = "callee" if "callee" in row else next(iter(row), "")
    number = row.get(field, "")
    if not (number.startswith("+") and number[1:].isascii() and number[1:].isdigit()):
        raise Refused(BAD, "A number is not written with its plus and country.")
    fields = {name: value for name, value in row.items() if name != "case_id"}
    return {
        "number": number,
        "number_field": field,
        "case_id": row.get("case_id", ""),
        "fields": fields,
    }


def _fail(code: int, words: str) -> Reply:
    status = 401 if code == NO_TOKEN else 200
    return Reply.json({"data": None, "status": words, "code": code}, status=status)
