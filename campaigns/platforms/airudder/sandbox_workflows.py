"""In: rows of a list and wishes. Out: workflows that dial them at once, and all that is pushed.

The pretended dialler: each workflow carries a few calls at once, calls a contact again that did not
talk, and tells of it in every kind of push. What happens is decided when a row comes in, and told
when the clock says so; asked earlier, the platform does not know it yet.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from campaigns.platforms.airudder.sandbox_plan import Outcome, converse, plan_calls
from campaigns.platforms.airudder.sandbox_records import (
    make_agent_status,
    make_contact_status,
    make_record,
    make_task_status,
    make_turns,
    make_workflow_status,
    tamper,
)
from campaigns.platforms.sandbox_audio import render
from campaigns.platforms.sandbox_chance import make_chance
from campaigns.platforms.sandbox_engine import Engine
from campaigns.platforms.sandbox_push import Delivery, is_ok
from campaigns.platforms.sandbox_side import Planned, PushApp, PushOnlySide

MOST_CONTACTS = 10_000
USUAL_LINES = 10
#: contacts of a workflow of which the dialler tells step by step
USUAL_TOLD = 20
#: a workflow without calls for so long is over, until somebody is added
REST_SECONDS = 10.0
DEMO_SECONDS = 10 * 366 * 86_400
AGENTS = ("Agent One", "Agent Two", "Agent Three")

Instance = dict[str, Any]
Case = dict[str, Any]


class Workflows(PushOnlySide):
    """The workflows of the pretended platform and their calls; safe to use from any thread.

    A wish for a call may have ``number``, ``case_id``, ``workflow_id``, ``fields``, and what
    ``plan_calls`` reads. An application may have ``lines`` (calls at once in a workflow) and
    ``told`` (contacts of a workflow of which the dialler tells step by step).
    """

    name: ClassVar[str] = "airudder"
    #: five more tries, a minute apart, when the answer is abnormal: here anything but HTTP 200
    delivery: ClassVar[Delivery] = Delivery(10.0, 60.0, 6, is_ok)

    def __init__(self, engine: Engine) -> None:
        self.instances: dict[str, Instance] = {}
        self.cases: dict[str, list[Case]] = {}
        #: workflow → when each of its lines is free
        self._free_at: dict[str, list[float]] = {}
        super().__init__(engine)

    # Workflows

    def add_instance(self, app: PushApp, *, name: str, template_id: int, end_at: float) -> Instance:
        now = self.engine.clock.now()
        instance: Instance = {
            "id": self.make_id("workflow"),
            "app_key": app.key,
            "name": name,
            "template_id": template_id,
            "created_at": now,
            "started_at": now,
            "end_at": end_at,
            "state": "",
            "node_id": self.make_id("node"),
            "node_task_id": self.make_id("nodetask"),
            "task_id": self.make_id("task"),
        }
        self._keep_instance(instance)
        return instance

    def make_id(self, what: str) -> str:
        """32 hexadecimal digits, never the same again."""
        number = self.give_number()
        return f"{make_chance(self.engine.seed, what, number).getrandbits(80):020x}{number:012x}"

    def add_contacts(self, instance: Instance, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take rows in ({"number", "number_field", "case_id", "fields"}) and call them."""
        with self.lock:
            self._planned = planned = Planned()
            try:
                self._wake(instance)
                for row in rows:
                    self._plan_contact(instance, row, {})
            finally:
                self._planned = None
            self.outbox.send_all(planned.pushes, documents=planned.documents)
            self._watch(instance)

    def count(self, instance: Instance) -> dict[str, int]:
        now = self.engine.clock.now()
        cases = self.cases.get(instance["id"], [])
        return {
            "total": len(cases),
            "dialled": sum(case["began_at"] <= now for case in cases),
            "answered": sum(case["answered"] and case["ended_at"] <= now for case in cases),
            "ended": sum(case["ended_at"] <= now for case in cases),
        }

    def _wake(self, instance: Instance) -> None:
        if instance["state"] != "Running":
            if not instance["state"]:
                instance["started_at"] = self.engine.clock.now()
            self._change_state(instance, "Running")

    def _change_state(self, instance: Instance, state: str) -> None:
        instance["state"] = state
        self._keep_instance(instance)
        app = self.apps.get(instance["app_key"])
        if app is not None:
            now = self.engine.clock.now()
            self.push(app, "workflow-status", make_workflow_status(instance))
            self.push(app, "pds", make_task_status(instance, self.count(instance), at=now))

    def _watch(self, instance: Instance) -> None:
        """Look again when all of its calls are over."""
        free_at = max(self._free_at.get(instance["id"], [0.0])) + REST_SECONDS
        act = functools.partial(self._finish, instance, free_at)
        self.engine.scheduler.call_at(free_at, act)

    def _finish(self, instance: Instance, planned_for: float) -> None:
        with self.lock:
            if self.instances.get(instance["id"]) is not instance:
                return
            free_at = max(self._free_at.get(instance["id"], [0.0])) + REST_SECONDS
            if free_at <= planned_for and instance["state"] == "Running":
                self._change_state(instance, "Finished")

    def count_busy(self) -> int:
        """A workflow that runs is going to say that it is over."""
        with self.lock:
            running = [one for one in self.instances.values() if one["state"] == "Running"]
        return super().count_busy() + len(running)

    def _keep_instance(self, instance: Instance) -> None:
        self.instances[instance["id"]] = instance
        self.engine.store.put(f"{self.name}.instance", instance["id"], instance)

    # Calls

    def plan_call(self, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        instance = self._find_for(app, wish)
        number = self.give_number()
        callee = str(wish.get("number", f"+86199000{number % 100_000:05d}"))
        row = {
            "number": callee,
            "number_field": "callee",
            "case_id": str(wish.get("case_id", f"DEMO-{number}")),
            "fields": {"callee_name": "张三", **dict(wish.get("fields", {}))},
        }
        self._wake(instance)
        case = self._plan_contact(instance, row, wish)
        self._watch(instance)
        return {"call": case["call"], "workflow_id": instance["id"], "result": case["result"]}

    def _find_for(self, app: PushApp, wish: Mapping[str, Any]) -> Instance:
        """The workflow that is wished for, else the one of its own that the application has."""
        if "workflow_id" in wish:
            found = self.instances.get(str(wish["workflow_id"]))
            if found is None:
                raise ValueError("workflow_id is not known.")
            return found
        for instance in self.instances.values():
            if instance["app_key"] == app.key and instance["name"] == "demo":
                return instance
        end_at = self.engine.clock.now() + DEMO_SECONDS
        return self.add_instance(app, name="demo", template_id=1, end_at=end_at)

    def _plan_contact(
        self, instance: Instance, row: Mapping[str, Any], wish: Mapping[str, Any]
    ) -> Case:
        app = self.apps[instance["app_key"]]
        told = self.cases.setdefault(instance["id"], [])
        free_at = self._free_at.setdefault(instance["id"], [])
        lines = app.wish.get("lines", USUAL_LINES)
        while len(free_at) < lines:
            free_at.append(0.0)
        line = free_at.index(min(free_at))
        number = self.give_number()
        outcome = plan_calls(
            row["number"],
            begin_at=max(self.engine.clock.now(), free_at[line]),
            scale=self.engine.settings.call_scale,
            chance=make_chance(self.engine.seed, self.name, "contact", number),
            make_id=functools.partial(self.make_id, "call"),
            wish=wish,
        )
        free_at[line] = outcome.attempts[-1].ended_at
        case = self._note_calls(instance, row, outcome)
        if instance["name"] == "demo" or len(told) <= app.wish.get("told", USUAL_TOLD):
            self._tell_steps(app, instance, row, outcome)
        ended_at = case["ended_at"]
        keys = {"call": case["call"], "contact": row["case_id"]}
        pushed = tamper(case["record"]) if outcome.tampered else case["record"]
        self.push(app, "api-node", pushed, at=ended_at, **keys)
        if not outcome.tampered:
            self.push(app, "call-completed", case["record"], at=ended_at, **keys)
        return case

    def _note_calls(self, instance: Instance, row: Mapping[str, Any], outcome: Outcome) -> Case:
        """Every attempt is a ring and a call of its own; the last one holds the record."""
        case: Case = {}
        for nth, attempt in enumerate(outcome.attempts, 1):
            last = nth == len(outcome.attempts)
            call = {
                "workflow_id": instance["id"],
                "workflow_name": instance["name"],
                "case_id": row["case_id"],
                "number": row["number"],
                "attempt": nth,
                "added_at": self.engine.clock.now(),
                "began_at": attempt.began_at,
                "ended_at": attempt.ended_at,
                "answered": attempt.answered,
                "talk_seconds": attempt.talk_seconds,
                "turns": make_turns(converse(attempt)),
                "intention": outcome.intention if last else "F",
                "tampered": outcome.tampered,
                "record": make_record(instance, row, outcome) if last else None,
            }
            self.engine.ledger.note_ring(row["number"], row=row["case_id"])
            self.note_call(
                call, call_id=attempt.call_id, result=attempt.reason, contact=row["case_id"]
            )
            if last:
                case = call
        self.cases[instance["id"]].append(case)
        return case

    def _tell_steps(
        self, app: PushApp, instance: Instance, row: Mapping[str, Any], outcome: Outcome
    ) -> None:
        agent = AGENTS[self.give_number() % len(AGENTS)]
        for nth, attempt in enumerate(outcome.attempts, 1):
            answered_at = attempt.began_at + attempt.ring_seconds
            steps = [("CALLING", attempt.began_at), ("RINGING", attempt.began_at + 0.5)]
            steps += [("ANSWERED", answered_at)] if attempt.answered else []
            steps.append(("HANGUP", attempt.ended_at))
            recording = self.tell_file_url(f"{attempt.call_id}.wav") if attempt.answered else ""
            for state, at in steps:
                body = make_contact_status(
                    instance, row, attempt, nth=nth, state=state, at=at, recording=recording,
                    agent=agent,
                )  # fmt: skip
                keys = {"call": attempt.call_id, "contact": row["case_id"]}
                self.push(app, "pds", body, at=at, **keys)
            if attempt.answered:
                for state, at in (("Talking", answered_at), ("Idle", attempt.ended_at)):
                    body = make_agent_status(instance, agent=agent, state=state, at=at)
                    self.push(app, "pds", body, at=at, call=attempt.call_id)

    def render_file(self, name: str) -> tuple[bytes, str] | None:
        call = self.calls.get(name.removesuffix(".wav"))
        if call is None or not call["answered"] or call["ended_at"] > self.engine.clock.now():
            return None
        return render(call["turns"], seconds=call["talk_seconds"]), "audio/wav"

    # After a restart

    def reset(self) -> None:
        with self.lock:
            self.instances.clear()
            self.cases.clear()
            self._free_at.clear()
            self.engine.store.clear(f"{self.name}.instance")
        super().reset()

    def resume(self) -> None:
        with self.lock:
            for instance in self.engine.store.load(f"{self.name}.instance"):
                self.instances[instance["id"]] = instance
        super().resume()
        with self.lock:
            for call in self.calls.values():
                ends = self._free_at.setdefault(call["workflow_id"], [])
                ends.append(call["ended_at"])
                if call["record"]:
                    self.cases.setdefault(call["workflow_id"], []).append(call)
            for key, ends in self._free_at.items():
                self._free_at[key] = sorted(ends)[-USUAL_LINES:]
            for instance in self.instances.values():
                self._watch(instance)
