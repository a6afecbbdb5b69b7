"""In: one decided call of the pretend 7moor. Out: what is pushed about it, and when.

Bodies are built as the samples of the text are: no ``pushType`` where the text shows none, the
answer of the customer in a wrapper and with a superUniqueId only, times as seconds in strings in
events and in words in the record, numbers for durations, "" and [""] for nothing.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaigns.platforms.moor7.sandbox_plan import DISPLAY, HOTLINE, TRUNK, Agent, Planned
from campaigns.platforms.moor7.vocabulary import AGENT_STATE_NAMES
from campaigns.platforms.sandbox_clock import SHANGHAI

#: codes that a SIP exchange would have
SIP_CODES = {"forbidden": 403, "requestTimeout": 408, "decline": 480, "cancel": 487}
SIP_CODES |= {"serviceUnavailable": 503, "unknow": 500}


@dataclass(frozen=True, slots=True)
class Told:
    """One push: its kind, its moment, its body; ``raw`` where no JSON writer would make it."""

    kind: str
    at: int
    body: dict[str, Any]
    raw: bytes | None = None


def tell_call(
    call: Planned, chance: random.Random, *, find_file: Callable[[str], str]
) -> list[Told]:
    """All pushes of a call in the order in which they happen; ``find_file`` gives the address of a
    recording by its ending."""
    told = [*_tell_stages(call, chance), *_tell_agent(call, chance)]
    if call.media:
        told.append(Told("mediaFailure", call.ended_at, _make_media(call, chance)))
    told.append(Told("cdr", call.over_at, make_record(call, chance, find_file=find_file)))
    return sorted(told, key=lambda one: one.at)


def make_event(chance: random.Random, **fields: Any) -> dict[str, Any]:
    return {"eventUniqueId": uuid.UUID(int=chance.getrandbits(128)).hex, **fields}


def _make_stage(call: Planned, *, at: int, event: str, agent: bool = True) -> dict[str, Any]:
    seat = call.agent if agent else None
    return {
        "accountId": call.account_id,
        "customerNumber": call.number,
        "trunkNumber": TRUNK if call.inbound else "",
        "displayNumber": "" if call.inbound else DISPLAY,
        "statusTime": str(at),
        "callEvent": event,
        "callType": call.call_type,
        "agentNumber": seat.number if seat else "",
        "agentName": seat.name if seat else "",
        "extras": call.extras,
    }


def _tell_stages(call: Planned, chance: random.Random) -> Iterator[Told]:
    own = {"callUniqueId": call.id}
    if call.inbound and not call.moved_from:
        body = _make_stage(call, at=call.began_at, event="calling", agent=False)
        yield Told("incomingRing", call.began_at, make_event(chance, **own, **body))
    if call.ringing_at is not None:
        body = _make_stage(call, at=call.ringing_at, event="ring")
        kind = "incomingRing" if call.inbound else "dialoutRing"
        named = {} if call.inbound else {"pushType": kind}
        yield Told(kind, call.ringing_at, make_event(chance, **own, **named, **body))
    if call.answered_at is not None and not call.moved_from:
        body = _make_stage(call, at=call.answered_at, event="link")
        wrapped = {
            "content": {"superUniqueId": call.id, **body},
            "uniqueId": make_event(chance)["eventUniqueId"],
        }
        yield Told("customerAnswered", call.answered_at, wrapped)
    body = _make_stage(call, at=call.ended_at, event="hangup")
    if call.inbound:
        if call.status != "CALL_TRANSFER":
            above = {"superUniqueId": call.moved_from or call.id}
            whole = {**above, **body, **make_event(chance), **own}
            raw = None if call.comma else _leave_out_comma(whole)
            yield Told("incomingHangup", call.ended_at, whole, raw)
    else:
        groups = {"groupIdList": [""], "groupNameList": [""]}
        named = {"pushType": "dialoutHangup"}
        whole = make_event(chance, **own, **named, **body, **groups)
        yield Told("dialoutHangup", call.ended_at, whole)


def _leave_out_comma(body: Mapping[str, Any]) -> bytes:
    """As the text has it: none before ``eventUniqueId``."""
    text = json.dumps(body, ensure_ascii=False, indent=0)
    return text.replace('",\n"eventUniqueId"', '"\n"eventUniqueId"').encode()


def _tell_agent(call: Planned, chance: random.Random) -> Iterator[Told]:
    """The states of the agent that the call brings about."""
    if call.agent is None:
        return
    moments = (
        [(call.ringing_at, "ring", "3")] if call.inbound else [(call.began_at, "calling", "2")]
    )
    moments += [(call.answered_at, "link", "4"), (call.ended_at, "hangup", "5")]
    for at, event, state in moments:
        if at is not None:
            stage = {"callUniqueId": call.id, **_make_stage(call, at=at, event=event)}
            yield Told("agentStatus", at, make_state(call.agent, chance, state=state, stage=stage))


def make_state(
    agent: Agent,
    chance: random.Random,
    *,
    state: str,
    name: str = "",
    at: int = 0,
    account_id: str = "",
    stage: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A change of state: in a call, or without one at ``at``."""
    told = stage or {
        "accountId": account_id,
        "statusTime": str(at),
        "agentNumber": agent.number,
        "agentName": agent.name,
        "extras": "",
    }
    named = {"statusName": name or AGENT_STATE_NAMES[state], "statusNumber": state}
    return make_event(chance, pushType="callStatus", **told, **named)


def make_presence(
    agent: Agent, chance: random.Random, *, word: str, at: int, account_id: str, how: str
) -> dict[str, Any]:
    """A log-in (``how``: by which telephone) or a log-out (``how``: normal, offline)."""
    ways = {"loginType": how} if word == "login" else {"logoutType": how}
    if how == "offline":
        ways["offlineType"] = "PSTN"
    return make_event(
        chance,
        accountId=account_id,
        pushType=word,
        **ways,
        statusTime=in_words(at),
        agentNumber=agent.number,
        agentName=agent.name,
    )


def _make_media(call: Planned, chance: random.Random) -> dict[str, Any]:
    return make_event(
        chance,
        accountId=call.account_id,
        callUniqueId=call.id,
        pushType="mediaFailreason",
        agentNumber=call.agent.number if call.agent else "",
        preMediaFailureReason="onThePhone",
        preMediaCode=15,
        preMediaKeyWord="正在通话",
    )


def in_words(at: int | None) -> str:
    return f"{datetime.fromtimestamp(at, SHANGHAI):%Y-%m-%d %H:%M:%S}" if at is not None else ""


# -------------------------------------------------------------------------------------- the record


def make_record(
    call: Planned, chance: random.Random, *, find_file: Callable[[str], str]
) -> dict[str, Any]:
    """The call record, every field of the sample and those of the table that apply."""
    talked, agent = call.answered_at is not None, call.agent
    called_at = call.ringing_at if call.inbound else call.began_at
    picked_up = call.answered_at if call.inbound else call.ringing_at
    sound = find_file("-doubleTrack.wav") if talked else ""
    mail = find_file("-voiceMail.wav") if call.voicemail else ""
    record = make_event(
        chance,
        callUniqueId=call.id,
        accountId=call.account_id,
        pushType="cdr",
        actionId="",
        cdrType="callRecord",
        applicationId="",
        callId=str(uuid.UUID(int=chance.getrandbits(128))),
        callType=call.call_type,
        status=call.status,
        customerNumber=call.number,
        trunkNumber=TRUNK if call.inbound else "",
        displayNumber="" if call.inbound else DISPLAY,
        virtualNumber="",
        hotLineNumber=HOTLINE if call.inbound else "",
        extras=call.extras,
        taskId=call.task_id,
        startTime=in_words(call.began_at),
        systemAnswerTime=in_words(call.began_at if call.inbound else call.ringing_at),
        customerStartTime=in_words(call.began_at if call.inbound else call.ringing_at),
        customerAnswerTime=in_words(call.began_at if call.inbound else call.answered_at),
        customerRingDuration=0 if call.inbound else call.ring_seconds,
        bridgeTime=in_words(call.answered_at),
        bridgeDuration=call.talk_seconds,
        hangupTime=in_words(call.ended_at),
        endTime=in_words(call.survey_ends_at or call.ended_at),
        createTime=in_words(call.over_at),
        saveTime=in_words(call.over_at),
        totalDuration=(call.survey_ends_at or call.ended_at) - call.began_at,
        waitDuration=call.wait_seconds,
        hangUpSide=call.hangup,
        gatewayIP="172.31.15.12:32766",
        sipCode=200 if talked else SIP_CODES.get(call.reason, 480),
        agentNumber=agent.number if agent else "",
        agentName=agent.name if agent else "",
        agentId=f"6094f5aa6966090011{agent.number:0>6}" if agent else "",
        agentTelNumber=agent.telephone if agent else "",
        agentTelType="mobile" if agent else "",
        agentStartTime=in_words(called_at) if agent else "",
        agentAnswerTime=in_words(picked_up) if agent else "",
        agentRingDuration=_count_agent_ring(call),
        ivrId="ivr-1" if call.inbound else "",
        ivrName="主菜单" if call.inbound else "",
        ivrTime=in_words(call.began_at) if call.inbound else "",
        queueNumber="10001" if call.queued_at else "",
        queueName="售后" if call.queued_at else "",
        joinQueueTime=in_words(call.queued_at),
        playNumberDuration=0,
        loginType="PSTN" if agent else "",
        recordType="voiceMail" if call.voicemail else "doubleTrack" if talked else "",
        recordFileUrl=sound,
        customerFileUrl=find_file("-in.wav") if talked else "",
        agentFileUrl=find_file("-out.wav") if talked else "",
        doubleTrackFileUrl="",
        # with an ordinary call too, as in the sample
        voiceMailUrl=mail or sound,
        recordingDuration=call.message_seconds or call.talk_seconds,
        satisfyDuration=(call.survey_ends_at - call.ended_at) if call.survey_ends_at else 0,
        satisfyStartTime=in_words(call.ended_at) if call.survey_ends_at else "",
        satisfyEndTime=in_words(call.survey_ends_at),
        satisfyIvrId="ivr-9" if call.survey_ends_at else "",
        satisfyKeys=[call.survey_key] if call.survey_key else [],
        matchResult="000",
        customerId="",
        customerName="",
        customerProvince="北京",
        customerCity="北京",
        customerAreaCode="010",
        customerCountry="中国",
        customerCountryCode="86",
        customerNumberType="mobile",
        groupIdList=[""],
        groupNameList=[""],
        billCalls=_make_legs(call),
    )
    if call.reason:
        record["failureReason"] = call.reason
    if call.moved_from:
        record["relativeCallUniqueId"] = call.moved_from
    return record


def _count_agent_ring(call: Planned) -> int:
    if call.agent is None:
        return 0
    if call.inbound:
        return call.ring_seconds
    return (call.ringing_at or call.ended_at) - call.began_at


def _make_legs(call: Planned) -> list[str]:
    """billCalls: sixteen fields between bars, known from the sample alone."""
    place = "86|010|北京|86|010|北京"
    legs = []
    if call.agent:
        began = in_words(call.ringing_at if call.inbound else call.began_at)
        picked_up = in_words(call.answered_at if call.inbound else call.ringing_at)
        way = "in-bound-call-agent" if call.inbound else "out-bound-call-agent"
        legs.append(
            f"{began}|{picked_up}|{in_words(call.ended_at)}|agent|{DISPLAY}|{call.agent.telephone}"
            f"|{call.agent.number}|mobileInternal|{place}|{way}|PSTN"
        )
    if not call.inbound and call.ringing_at is not None:
        legs.append(
            f"{in_words(call.ringing_at)}|{in_words(call.answered_at)}|{in_words(call.ended_at)}"
            f"|customer|{DISPLAY}|{call.number}||mobileInternal|{place}|out-bound-customer|null"
        )
    return legs
