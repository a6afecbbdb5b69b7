"""In: nothing. Out: ``CAPABILITIES``, each feature of 51ima's text and what Callboard does with it.

*Documented* is what "通话记录回调说明" says. Where it contradicts itself, the remark says what was
decided; fields that only its example has are *unverified*.
"""

from __future__ import annotations

from campaigns.platforms.contract import Capability, Standing
from campaigns.platforms.contract import make_capability as _row

_DOC, _UNVERIFIED, _UNKNOWN = Standing.DOCUMENTED, Standing.UNVERIFIED, Standing.UNKNOWN

_PUSH = "The push"
_RECORD = "In the call record"
_FORM = "Forms of the agents (expansionFields)"
_TASK = "Outbound tasks"
_AROUND = "Around the text"


CAPABILITIES: tuple[Capability, ...] = (
    _row(_PUSH, "通话记录回调 · The call record", _DOC, "Always; news of one id are one call"),
    _row(_PUSH, "The wrapper data", _UNVERIFIED, "Read with it and without it",
         "In the example only"),
    _row(_PUSH, "Ten tries, five seconds each", _DOC, "Repeats change nothing"),
    _row(_RECORD, "Ids (id, iccCallId)", _DOC, "id is the call; iccCallId is kept and searchable"),
    _row(_RECORD, "Direction (callType)", _DOC, "In our words"),
    _row(_RECORD, "Source of the call (communicateSource)", _DOC, "Shown with the call",
         "An inbound call may name outbound dialling"),
    _row(_RECORD, "Results 0 to 10 (speechCallResult)", _DOC, "In our words"),
    _row(_RECORD, "A second result (callResult)", _UNVERIFIED, "Kept with the call",
         "In the example only"),
    _row(_RECORD, "Who hung up (handupDirection, hangUpDirectionType)", _DOC, "In our words"),
    _row(_RECORD, "Begin, end and the agent's answer", _DOC, "Times of the call",
         "Milliseconds, although the table calls them dates"),
    _row(_RECORD, "Durations of waiting, queueing, ringing, talking and after-work", _DOC,
         "On the call; a time stamp where a duration should be is emptied and named"),
    _row(_RECORD, "Satisfaction (evaluationScore)", _DOC, "Shown with the call",
         "Values outside 0 to 5 are emptied and named"),
    _row(_RECORD, "Path through the menu (digitUrl)", _DOC, "Shown step by step"),
    _row(_RECORD, "Transfers (transferId, hang-up by transfer)", _DOC, "Shown with the call"),
    _row(_RECORD, "Agent, and group of skills", _DOC, "Shown with the call"),
    _row(_RECORD, "Name, region and network of the customer", _DOC, "Shown with the call"),
    _row(_RECORD, "The tenant (tenantId)", _DOC, "Kept with the call"),
    _row(_RECORD, "When the platform took the call (iccRecordDate)", _DOC, "Kept with the call",
         "Ten days before the call in the example"),
    _row(_RECORD, "agentLoginType, customerId, noteStatus", _UNVERIFIED, "Kept with the call",
         "In the example only"),
    _row(_RECORD, "The recording (communicateVoiceId)", _DOC, "The id is kept with the call"),
    _row(_FORM, "Summaries of the call (type 0)", _DOC, "Shown with the call"),
    _row(_FORM, "Remarks (type 1)", _DOC, "Shown with the call"),
    _row(_FORM, "Texts, choices, numbers and dates (types 2 to 7)", _DOC, "Shown with the call"),
    _row(_FORM, "Both fields of this name in one push", _UNVERIFIED, "Both are read",
         "The example has the name twice, once as an object and once as a list"),
    _row(_TASK, "Task of the call (taskId)", _DOC, "Links the call to our task",
         "No example of such a call exists"),
    _row(_TASK, "Data given along (externalData)", _DOC, "Links the call to our contact",
         "No example of such a call exists"),
    _row(_TASK, "Customer of the outer system (externalCustomerId)", _DOC, "Shown with the call",
         "No example of such a call exists"),
    _row(_AROUND, "Fetching the recording", _UNKNOWN, "",
         "No text says how to fetch a communicateVoiceId"),
    _row(_AROUND, "Signature or password of a push", _UNKNOWN,
         "The secret part of the address is the only key"),
    _row(_AROUND, "The answer expected", _UNKNOWN,
         "Answered with 200 after the bytes are on disk", "“Success” is not defined"),
    _row(_AROUND, "Calls to the platform: tasks, dialling", _UNKNOWN,
         note="The text is about the call record only"),
)  # fmt: skip
