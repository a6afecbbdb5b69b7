"""In: nothing. Out: ``CAPABILITIES``, each feature of yeta's text and what Callboard does with it.

*Documented* is what "yeta开放平台开发接口" or the vendor's pages say; *unverified* what rests on
others' client code or on inference; *not documented to us* what the text only names or leaves open.
"""

from __future__ import annotations

from campaigns.platforms.contract import Capability, Standing
from campaigns.platforms.contract import make_capability as _row

_DOC, _UNVERIFIED, _UNKNOWN = Standing.DOCUMENTED, Standing.UNVERIFIED, Standing.UNKNOWN

_CALLS = "Part 1: calls we make"
_FILE = "Part 1: the failed-push file"
_PUSHES = "Part 2: pushes we receive"
_ANSWERS = "Part 3: questions we answer"
_AROUND = "Around the text"


CAPABILITIES: tuple[Capability, ...] = (
    _row(_CALLS, "1 Get a token", _DOC,
         "Always; one fetch at a time per account, shared by all processes"),
    _row(_CALLS, "2 Query the configuration: robots", _DOC,
         "Synchronise: mirrored with state, type and columns"),
    _row(_CALLS, "2 Query the configuration: lines", _DOC,
         "Synchronise: mirrored with concurrency, working hours and expiry"),
    _row(_CALLS, "2 Query the configuration: voices", _DOC,
         "Synchronise; a task or direct call may name one"),
    _row(_CALLS, "2 Query the configuration: addresses of our callbacks", _DOC,
         "Synchronise: read with the rest"),
    _row(_CALLS, "3 Call directly", _DOC,
         "Call directly: rows of one request, never sent twice by themselves",
         "Nothing can be asked about it: an unknown outcome waits for a person"),
    _row(_CALLS, "3 Call directly: voice and speed", _DOC, "Call directly"),
    _row(_CALLS, "4 Create a task", _DOC, "Launch: under a name that holds a mark of ours"),
    _row(_CALLS, "4 Create a task: recalls and the wait before them", _DOC, "The task's form"),
    _row(_CALLS, "4 Create a task: begin, end and calling windows", _DOC, "The task's form"),
    _row(_CALLS, "4 Create a task: several lines", _DOC, "The task's form"),
    _row(_CALLS, "4 Create a task: voice", _DOC, "The task's form"),
    _row(_CALLS, "4 Create a task: high-performance mode (trubo_mode)", _DOC, "The task's form",
         "Its effect is described nowhere"),
    _row(_CALLS, "5 Insert contacts", _DOC, "Launch: in batches, before the task starts",
         "Whether it works after the start is contradictory in the text; Callboard never tries"),
    _row(_CALLS, "6 Start a task", _DOC,
         "Launch and resume, only when the platform's count is what was handed over"),
    _row(_CALLS, "7 Pause a task", _DOC, "Pause: repeated until a query confirms"),
    _row(_CALLS, "8 Delete a task", _DOC, "Delete: repeated until a query confirms"),
    _row(_CALLS, "9 Query tasks", _DOC, "State and counts of each task, and every unknown outcome"),
    _row(_CALLS, "10 List failed pushes", _DOC, "The client asks for the files of a day",
         "Of the last seven days, without today"),
    _row(_FILE, "The zip and the records in it", _DOC,
         "A record of it is understood at every address, with its wrapper",
         "Objects glued together, not lines; the archive itself is not fetched yet"),
    _row(_CALLS, "Return codes", _DOC, "Each is a refusal with advice for the operator",
         "Success is the integer 0"),
    _row(_CALLS, "Common voices", _DOC,
         note="A list in the text only; voices are those that the configuration names"),
    _row(_PUSHES, "receiveCallRecord: the basic record", _DOC, "Always"),
    _row(_PUSHES, "receiveCallRecord: the outbound record", _DOC,
         "Always; believed over the basic one"),
    _row(_PUSHES, "receiveCallRecord: an inbound call", _DOC, "Always"),
    _row(_PUSHES, "Results of calls (task_result)", _DOC,
         "Mapped to our words; the code and its text are kept",
         "1, 10-14, 17, 21 and 24 are not in the text: unknown until the table is corrected"),
    _row(_PUSHES, "receiveVoice: a recording", _DOC,
         "Always; fetched when the setting recording_prefix is filled in"),
    _row(_PUSHES, "receiveDialog: the transcript", _DOC, "Always, with nodes, intentions and hits"),
    _row(_PUSHES, "The word that acknowledges, three repeats, three seconds", _DOC,
         "Answered after the bytes are on disk, before they are understood"),
    _row(_ANSWERS, "getDialogContext: variables of an inbound call", _DOC,
         "Stored, and answered from the callers' variables"),
    _row(_ANSWERS, "semantic: the meaning of what was said", _DOC,
         "Stored, and answered by the rules of its code"),
    _row(_ANSWERS, "semantic: the function code", _UNVERIFIED, "Kept with the push",
         "That it is set on the node of the script is inferred"),
    _row(_AROUND, "Other base URLs with the same contract", _DOC, "The account's base URL"),
    _row(_AROUND, "The code of an expired token", _UNVERIFIED,
         "10001 and 10002: a new token is fetched, once", "Inferred; there is no code of its own"),
    _row(_AROUND, "Fields seen in replies that the text does not have", _UNVERIFIED,
         "voices[].code and name stand in where the documented ones are missing; all are kept",
         "From client code: lines[].expired, rows[].remaining, result.robotTotal and others"),
    _row(_AROUND, "Signature or password of a push", _UNKNOWN,
         "The secret part of the address is the only key"),
    _row(_AROUND, "Cancelling one number of a task", _UNKNOWN),
    _row(_AROUND, "Listing the calls of a task", _UNKNOWN,
         note="What was not pushed is in the failed-push file of the next day"),
)  # fmt: skip
