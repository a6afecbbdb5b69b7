"""In: nothing. Out: ``CAPABILITIES``, each feature of 7moor's text and what Callboard does with it.

*Documented* is what "事件推送接口" says. Where its title and its example contradict each other, the
remark says what was decided; what no example shows is read by its table.
"""

from __future__ import annotations

from campaigns.platforms.contract import Capability, Standing
from campaigns.platforms.contract import make_capability as _row

_DOC, _UNVERIFIED, _UNKNOWN = Standing.DOCUMENTED, Standing.UNVERIFIED, Standing.UNKNOWN

_EVENTS = "Events"
_COMMON = "In every event"
_RECORD = "In the call record"
_AGENTS = "Agents"
_AROUND = "Around the text"


CAPABILITIES: tuple[Capability, ...] = (
    _row(_EVENTS, "外呼振铃事件 · Outbound ring", _DOC, "The call is shown while it rings"),
    _row(_EVENTS, "外呼挂机事件 · Outbound hang-up", _DOC, "The call is shown as ended",
         "Result and durations come with the record"),
    _row(_EVENTS, "来电振铃事件 · Inbound ring", _DOC, "The call is shown while it rings",
         "The example is an agent's state of an outbound call: read by the table"),
    _row(_EVENTS, "来电挂机事件 · Inbound hang-up", _DOC, "The call is shown as ended",
         "The example lacks a comma and its pushType: mended, and told by its shape"),
    _row(_EVENTS, "通话记录推送事件 · Call record", _DOC,
         "The record rules over the events; every field of its table is kept"),
    _row(_EVENTS, "用户接通事件 · Customer answered", _DOC, "The call is shown as answered",
         "Wrapped in content, its event id outside"),
    _row(_EVENTS, "坐席状态变化事件 · Agent status", _DOC,
         "The agents screen; with call data also the call's progress",
         "The ordinary and the special example have the same keys"),
    _row(_EVENTS, "媒体识别挂机原因事件 · Media failure before the answer", _DOC,
         "The detail of the call, and its result while no record is there",
         "Has no time: that of its receipt counts"),
    _row(_EVENTS, "电话条登陆状态事件 · Phone-bar log-in and log-out", _DOC, "The agents screen",
         "Times are written out here, elsewhere they are seconds"),
    _row(_COMMON, "Several push addresses", _DOC, "A repeat changes nothing"),
    _row(_COMMON, "Account of the event (accountId)", _DOC,
         "The setting account_id; the first one seen is adopted, another is quarantined"),
    _row(_COMMON, "Stages of a call (callEvent)", _DOC, "Times of the call"),
    _row(_COMMON, "Kinds of calls (callType)", _DOC, "The direction; the word is kept"),
    _row(_COMMON, "Parameters given along (extras)", _DOC, "Shown with the call",
         "Documented as an object, empty in every example"),
    _row(_COMMON, "Groups of display numbers", _DOC, "Shown with the call"),
    _row(_COMMON, "Call without callUniqueId", _UNVERIFIED,
         "superUniqueId stands in", "Inferred: the field is in no table"),
    _row(_RECORD, "Answered and not answered (status)", _DOC, "The result of the call"),
    _row(_RECORD, "Reasons of failure (failureReason)", _DOC,
         "The result where status says nothing"),
    _row(_RECORD, "Who hung up (hangUpSide)", _DOC, "In our words",
         "The values are enumerated nowhere; AGENT is shown"),
    _row(_RECORD, "Times, and durations of ringing, talking and waiting", _DOC, "On the call",
         "Local times, read in the account's time zone"),
    _row(_RECORD, "Four addresses of recordings", _DOC,
         "One recording for each distinct address; of the vendor's host and the setting "
         "recording_hosts",
         "How long they can be fetched is not said"),
    _row(_RECORD, "Voice mail (recordType voiceMail)", _DOC, "Kept with the recording"),
    _row(_RECORD, "Transfers (CALL_TRANSFER, relativeCallUniqueId)", _DOC,
         "The result, and the call that it came from"),
    _row(_RECORD, "Queue and menu (IVR)", _DOC, "Shown with the call"),
    _row(_RECORD, "Satisfaction survey", _DOC, "Shown with the call"),
    _row(_RECORD, "Regions of both sides", _DOC, "Kept with the call"),
    _row(_RECORD, "Legs of the call (billCalls)", _UNVERIFIED, "Kept as they come",
         "In no table: their meaning goes by position only"),
    _row(_RECORD, "Sentences before the answer (content.segments)", _DOC,
         "Kept with the media failure", "In a table, in no example"),
    _row(_AGENTS, "States 0 to 9", _DOC, "In our words"),
    _row(_AGENTS, "States of the customer's own (from 100)", _DOC, "Shown by their names"),
    _row(_AGENTS, "Kinds of log-in and log-out", _DOC, "Shown with the agent",
         "offlineType is in the table and in no example"),
    _row(_AROUND, "Signature or password of a push", _UNKNOWN,
         "The secret part of the address is the only key"),
    _row(_AROUND, "Repeats, time-out and the answer expected", _UNKNOWN,
         "Answered with 200 after the bytes are on disk"),
    _row(_AROUND, "Calls to the platform: dialling, lists, recordings", _UNKNOWN,
         note="The text is about events only"),
)  # fmt: skip
