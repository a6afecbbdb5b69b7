"""In: nothing. Out: what a person reads in 7moor's text and payloads, for the shared tests."""

from __future__ import annotations

from typing import Any

UNSEEN = {
    # the text shows AGENT only; this is what ``status`` calls the other side
    "sides that hang up": "CUSTOMER",
    "states of agents": "6 7 8 9",
}
#: The sample of the text lacks a comma (oddity 7m-14).
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {
    "incomingHangup__sample": {"eventUniqueId": "has no comma before it; one was put"},
}

WORDS = {
    "results of calls": "IVR=abandoned- QUEUE_ABANDON=abandoned- ANSWER=answered+"
    " AGENT_NO_ANSWER=no_answer- CUSTOMER_NO_ANSWER=no_answer- CALL_TRANSFER=transferred+",
    "reasons of failure": "forbidden=call_restricted- serviceUnavailable=line_failure-"
    " cancel=cancelled- requestTimeout=timed_out- unknow=unknown- decline=no_answer-",
    "media failures": "onThePhone=busy-",
    "sides that hang up": "AGENT=agent CUSTOMER=contact",
    "directions": "incoming=inbound dialout=outbound webcall=outbound previewDialout=outbound"
    " autoDialout=outbound",
    "stages of a call": "calling ring link hangup",
    "states of agents": "0=idle 1=busy 2=dialling 3=ringing 4=talking 5=wrap_up 6=holding 7=muted"
    " 8=disconnected 9=invalid",
    "ways to log in": "PSTN WEBRTC SIP",
    "ways to log out": "normal offline",
    "telephones while offline": "PSTN SIP",
    "kinds of recordings": "normal doubleTrack voiceMail",
    "kinds of pushes": "dialoutRing dialoutHangup callStatus cdr mediaFailreason login logout",
}
#: whole paths of the ids of calls
ID_FIELDS = ("callUniqueId", "content.superUniqueId")

_CALL, _OTHER = "403344537650466816", "393928840994361344"
_OUT = {"direction": "outbound", "caller": "01081400192", "callee": "19900000002"}
_IN = {"direction": "inbound", "caller": "19900000005", "callee": "01080455499"}
_AGENT = {"account": "20000153", "agent": "20001"}


def _stage(**facts: Any) -> dict[str, Any]:
    return {"news": "progress", "call": _CALL, **_OUT, **_AGENT, **facts}


def _record(last: int, code: str, result: str, **facts: Any) -> dict[str, Any]:
    """An outbound call that nobody answered; times are those of Shanghai."""
    return {
        "news": "record",
        "call": f"403344537650466{last}",
        **_OUT,
        **_AGENT,
        "code": code,
        "result": result,
        "answered": False,
        "hangup_by": "agent",
        "dialed": "2021-05-08 14:39:32",
        "ringing": "2021-05-08 14:39:37",
        "ended": "2021-05-08 14:39:47",
        "ring": 0,
        "talk": 0,
        "wait": 0,
        **facts,
    }


def _inbound(last: int, code: str, result: str, ended: str, **facts: Any) -> dict[str, Any]:
    """An inbound call that no agent took."""
    told = _record(last, code, result, **_IN, dialed="2021-05-08 14:40:00")
    for name in ("hangup_by", "agent", "ringing"):
        del told[name]
    return told | {"ended": f"2021-05-08 {ended}"} | facts


_TALKED: dict[str, Any] = {
    "answered": True,
    "picked_up": "2021-05-08 14:39:42",
    "ring": 5,
    "talk": 5,
    "recordings": [5, 5, 5],
}
_HANGUP = {
    "news": "progress",
    "call": _CALL,
    "relation": _OTHER,
    "account": "2000100",
    "agent": "2000",
    "ended": 1607944355000,
    "direction": "inbound",
    "caller": "19900000002",
    "callee": "01080455499",
}
_LOGIN = {"account": "2000103", "agent": "9998", "agent_state": "online", "logged_in": True}
_LOGOUT = {**_LOGIN, "agent_state": "offline", "logged_in": False}
_MEDIA = {
    "news": "progress",
    "account": "20000153",
    "agent": "2001",
    "code": "onThePhone",
    "result": "busy",
    "answered": False,
}

FACTS: dict[str, dict[str, Any]] = {
    "agentStatus__busy": {**_AGENT, "agent_state": "busy", "at": 1620456200000},
    "agentStatus__custom": {**_AGENT, "agent_state": "custom", "at": 1620456100000},
    "agentStatus__idle": {**_AGENT, "agent_state": "idle", "at": 1620456000000},
    "agentStatus__calling": _stage(
        agent_state="dialling", at=1620455972000, dialed=1620455972000
    ),
    "agentStatus__link": _stage(
        agent_state="talking", at=1620455982000, picked_up=1620455982000, answered=True
    ),
    "agentStatus__wrap_up": _stage(
        agent_state="wrap_up", at=1620455987000, ended=1620455987000
    ),
    "agentStatus__ring_inbound": _stage(
        call="403344537650466901", **_IN,
        agent_state="ringing", at=1620456005000, ringing=1620456005000,
    ),
    "cdr__sample": _record(816, "ANSWER", "answered", **_TALKED, account="2100147"),
    "cdr__transferred": _record(921, "CALL_TRANSFER", "transferred", **_TALKED, relation=_CALL),
    "cdr__customer_no_answer": _record(911, "CUSTOMER_NO_ANSWER", "no_answer"),
    "cdr__forbidden": _record(912, "CUSTOMER_NO_ANSWER", "no_answer"),  # status decides
    # no status: the reason decides
    "cdr__timed_out": _record(913, "requestTimeout", "timed_out"),
    "cdr__cancelled": _record(914, "cancel", "cancelled"),
    "cdr__service_unavailable": _record(915, "serviceUnavailable", "line_failure"),
    "cdr__not_recognised": _record(916, "unknow", "unknown"),
    "cdr__queue_abandon": _inbound(
        917, "QUEUE_ABANDON", "abandoned", "14:40:37", wait=27, queue="售后"
    ),
    "cdr__ivr_only": _inbound(918, "IVR", "abandoned", "14:40:15"),
    "cdr__voicemail": _inbound(919, "QUEUE_ABANDON", "abandoned", "14:40:52", recordings=[12]),
    "cdr__agent_no_answer": _inbound(
        920, "AGENT_NO_ANSWER", "no_answer", "14:40:40",
        ringing="2021-05-08 14:40:20", ring=20, wait=30, queue="售后", agent="20001",
    ),
    "cdr__every_field": _inbound(
        922, "ANSWER", "answered", "14:41:27",
        ringing="2021-05-08 14:40:20", picked_up="2021-05-08 14:40:27", answered=True,
        ring=5, talk=60, wait=10, queue="售后", agent="20001", hangup_by="agent",
        recordings=[60, 60, 60, 60],
        task="task-5", relation=_CALL,
    ),
    "customerAnswered__sample": {
        "news": "progress", "call": _OTHER, "account": "2100147", "agent": "1121",
        "direction": "outbound", "caller": "02258834811", "callee": "19900000004",
        "answered": True, "picked_up": 1616638064000,
    },
    "dialoutHangup__sample": _stage(ended=1620455987000),
    "dialoutRing__sample": _stage(ringing=1620455977000),
    "dialoutRing__extras": _stage(
        call="403344537650466902", ringing=1620455977000, contact="CB-123"
    ),
    "incomingHangup__sample": _HANGUP,
    "incomingHangup__whole": _HANGUP,
    "incomingRing__ring": _stage(call="403344537650466901", **_IN, ringing=1620456005000),
    "incomingRing__calling": {
        "news": "progress", "call": "403344537650466901", "account": "20000153", **_IN,
        "dialed": 1620456000000,
    },
    "login__sample": {**_LOGIN, "at": "2021-07-22 18:06:48"},
    "login__webrtc": {**_LOGIN, "at": "2021-07-22 18:10:00"},
    "login__sip": {**_LOGIN, "at": "2021-07-22 18:11:00"},
    "logout__sample": {**_LOGOUT, "at": "2021-07-22 18:06:55"},
    "logout__offline": {**_LOGOUT, "at": "2021-07-22 18:20:00"},
    "mediaFailure__sample": {**_MEDIA, "call": "403381132931895296"},
    "mediaFailure__segments": {**_MEDIA, "call": "403381132931895297"},
}  # fmt: skip

#: the text says nothing of repeats: one try
DELIVERY = {"tries": 1, "taken": "ok word"}
