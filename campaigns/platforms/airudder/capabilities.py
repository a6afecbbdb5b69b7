"""In: the index of AI Rudder's documentation. Out: ``CAPABILITIES``, what is known and done of it.

*Documented* is what its two texts or pages of its own documentation say; *unverified* what rests on
others' client code or on inference, and is off until the account's setting ``allow_unverified`` is
switched on where it would send something. Every other entry is a title to us: *not documented to
us*, and nothing is guessed.
"""

from __future__ import annotations

from campaigns.platforms.airudder.capability_index import (
    COLLECTION,
    INFO_CHECK,
    TELEMARKETING,
    WORKFLOW,
    WORKFLOW_PDS,
    list_entries,
)
from campaigns.platforms.contract import Capability, Standing
from campaigns.platforms.contract import make_capability as _row

_DOC, _UNVERIFIED, _UNKNOWN = Standing.DOCUMENTED, Standing.UNVERIFIED, Standing.UNKNOWN

_PDS = "In the text of the predictive dialler"
_VERIFY = "In the text of the custom push and its verification"
_AROUND = "Around the texts"
_OFF = "off until allow_unverified is on"

#: (group, English or only title) → what is known beyond the title, what we do, a remark
_KNOWN: dict[tuple[str, str], tuple[Standing, str, str]] = {
    ("Get the Authorization token · 鉴权方法", "Token Authentication and Obtain"): (
        _DOC,
        "Always; cached for all processes, fetched anew when refused",
        "POST /service/cloud/auth; a token lives 24 hours",
    ),
    (WORKFLOW_PDS, "Webhook of Predictive Dialer Task Status Changes"): (
        _DOC,
        "Received at /pds and at the address for all: the workflow's state and counters",
        "The text's prose describes a call, its example a task",
    ),
    (WORKFLOW_PDS, "Webhook of Predictive Dialer Contacts Status Changes"): (
        _UNVERIFIED,
        "Received at /pds and at the address for all, when the shape fits",
        "The shape is known from client code only",
    ),
    (WORKFLOW_PDS, "Webhook of Predictive Dialer Agents Status Changes"): (
        _UNVERIFIED,
        "Received at /pds and at the address for all, when the shape fits: the agents screen",
        "The shape is known from client code only",
    ),
    (WORKFLOW, "Create a New WorkFlow Task"): (
        _UNVERIFIED,
        f"Launch; {_OFF}",
        "POST /service/cloud/workflow/createinstance; the parameters are documented, the form of "
        "end_time, the answer and the 10,000 contacts of an instance are from client code",
    ),
    (WORKFLOW, "Obtain the List of Workflow Templates"): (
        _UNKNOWN,
        "The operator names the templates and the fields of their rows: workflow_templates",
        "",
    ),
    (WORKFLOW, "Add lists to an workflow task"): (
        _UNVERIFIED,
        f"Launch, with our contact ids as case_id; {_OFF}",
        "POST /service/cloud/workflow/uploaddetails; the operator names the fields of a row; no "
        "limit of one request is known to us, 100 contacts are our own choice",
    ),
    (
        WORKFLOW,
        "Notification of Call Completion in Workflow (Debt Collection/Marketing/E-commerce)",
    ): (
        _DOC,
        "Received at /call-completed: one for each number",
        "When it comes is documented, its body is not: see “Body of the call completion”",
    ),
    (WORKFLOW, "Notification of Call Completion in Workflow(Info Check)"): (
        _DOC,
        "Received at /call-completed: one for each number",
        "When it comes is documented, its body is not: see “Body of the call completion”",
    ),
    (WORKFLOW, "Custom API Node Data Push"): (
        _DOC,
        "Received at /api-node and at the address for all: call, redials, transcript, answers",
        "The fields of the verification's answer, at the top level",
    ),
    (WORKFLOW, "Verify the Custom API Node Data Push"): (
        _DOC,
        "A button on the call, and the account's setting verify (never, sample, always)",
        "POST /service/cloud/workflow/apinoticeinfo; three months back, custom pushes only",
    ),
    (
        WORKFLOW,
        "Obtain the Outbound Task Details of Workflow(Collection/Telemarketing/E-commerce)",
    ): (
        _UNVERIFIED,
        f"The calls of a task, when pushes stayed silent; {_OFF}",
        "POST /service/cloud/workflow/taskdetail; documented, but cut in what we have",
    ),
    (WORKFLOW, "Obtain the Outbound Task Details of Workflow(Info Check)"): (
        _UNVERIFIED,
        f"As for the other product lines; {_OFF}",
        "POST /service/cloud/workflow/taskdetail; documented, but cut in what we have",
    ),
    (WORKFLOW, "Query workflow_id using case_id/callee"): (
        _DOC,
        "Finding a contact after an unknown outcome, by its case",
        "POST /service/cloud/workflow/detailinstances; it could be asked by number too",
    ),
    (WORKFLOW, "Notification of Workflow Status Change"): (
        _DOC,
        "Received at /workflow-status and at the address for all: the workflow's state",
        "",
    ),
}

#: the older task API, from client code: nothing of it is used
_OLDER: dict[str, str] = {
    "Create a Calling Task": "POST /service/cloud/task",
    "List the Task Created": "GET /service/cloud/list",
    "Cancel a Calling Task": "POST /service/cloud/operation",
    "Cancel a Certain Call in a Specific Task": "POST /service/cloud/cancelphonecall",
    "Obtain the Detailed Information of Tasks": "GET /service/cloud/detail?TaskID=",
    "Obtain a Call Recording": "perhaps GET /service/cloud/case",
    "Obtain Call Recordings": "GET /service/cloud/recording, a zip",
    "Obtain Task Recordings": "GET /service/cloud/recording, a zip",
    "Fetch robot list": "GET /service/cloud/robot",
}
_OLDER_GROUPS = (COLLECTION, TELEMARKETING, INFO_CHECK)


def _find_known(group: str, entry: str) -> tuple[Standing, str, str]:
    title = entry.partition(" · ")[0]
    if (group, title) in _KNOWN:
        return _KNOWN[group, title]
    if group.startswith(_OLDER_GROUPS) and "Calling Tasks" in group and title in _OLDER:
        return _UNVERIFIED, "", f"Older task API, from client code: {_OLDER[title]}"
    return _UNKNOWN, "", ""


_TEXTS: tuple[Capability, ...] = (
    _row(_PDS, "TaskStatus, wrapped in pds", _DOC, "State, times and counters of the task"),
    _row(_PDS, "Workflow, node and task ids and names around it", _DOC,
         "All kept; the workflow is the task"),
    _row(_PDS, "The bare form without pds", _UNVERIFIED, "Understood when the shape fits",
         "From client code"),
    _row(_PDS, "ContactStatus: states, attempts, hang-up reasons, recording", _UNVERIFIED,
         "Calls as they go on, their results and recordings", "From client code"),
    _row(_PDS, "AgentStatus", _UNVERIFIED, "Agents and their states", "From client code"),
    _row(_PDS, "Five repeats, a minute apart", _DOC, "Repeats change nothing"),
    _row(_PDS, "The answer {}", _DOC, "Answered with 200 and our own word, which fits"),
    _row(_PDS, "Signature or password of a push", _UNKNOWN,
         "The secret part of the address is the only key"),
    _row(_VERIFY, "Asking with workflow_id, node_id, callee and case_id", _DOC,
         "A push counts as verified only by asking"),
    _row(_VERIFY, "HTTP 200 with a failing body", _DOC, "A failure, told with its code",
         "The failing body itself is not shown"),
    _row(_VERIFY, "Three months of history", _DOC, "An older push is not asked about, in words"),
    _row(_VERIFY, "The person called and the custom carriers", _DOC,
         "On the call: extra_a to extra_c, extra, extend, custom_attribute"),
    _row(_VERIFY, "Redials (redial_call)", _DOC,
         "Calls of their own: earlier attempts of the same contact"),
    _row(_VERIFY, "Answers to questions (question_answer)", _DOC, "On the call"),
    _row(_VERIFY, "Labels (multi_label)", _DOC, "On the call; they are data, no fixed list"),
    _row(_VERIFY, "Slots (slots, ner_slots)", _DOC, "On the call"),
    _row(_VERIFY, "What was said (asr_result)", _DOC, "The transcript, in the order it came"),
    _row(_VERIFY, "Intention and its description", _DOC,
         "The intention on the call, in filters and exports; its description on the call"),
    _row(_VERIFY, "Amounts, currency and due dates", _DOC,
         "On the call, as decimals with their currency"),
    _row(_VERIFY, "Ring and hang-up types", _DOC, "Whether answered, and who hung up",
         "normal, ByRobot and ByCallee are shown, no list is"),
    _row(_VERIFY, "Body of the call completion", _UNVERIFIED,
         "Read as the custom push, until a capture says otherwise", "Inferred"),
    _row(_VERIFY, "Recordings", _UNKNOWN, "",
         "Neither push nor answer has one; the calls for them are titles to us"),
    _row(_VERIFY, "Zone of the local times", _UNKNOWN, "Read in the account's time zone"),
    _row(_AROUND, "Authorization: Token …", _DOC, "Every request", "One public client says Bearer"),
    _row(_AROUND, "Codes of the cloud API's errors", _UNKNOWN,
         "Any code but 200 in the body is a failure"),
)  # fmt: skip

CAPABILITIES: tuple[Capability, ...] = _TEXTS + tuple(
    _row(group, entry, *_find_known(group, entry)) for group, entry in list_entries()
)
