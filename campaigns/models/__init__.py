"""In: nothing. Out: every model of the outbound side and of the results, by name."""

from campaigns.models.accounts import (
    Account,
    AccountToken,
    CallbackToken,
    Exchange,
    Line,
    Robot,
    Voice,
)
from campaigns.models.agents import Agent, AgentEvent
from campaigns.models.answering import (
    ContextDefault,
    ContextImport,
    InboundAnswer,
    InboundContext,
    SemanticRule,
)
from campaigns.models.approvals import Approval
from campaigns.models.barring import BarListImport, DoNotCall, DoNotCallRule
from campaigns.models.bulk import BulkJob, BulkRow, SavedFilter
from campaigns.models.calendar import Holiday
from campaigns.models.calls import Call, Recording, Turn, Verification
from campaigns.models.counts import CallDay, CallHour, CallMark, CountState, TaskCount
from campaigns.models.exports import Export, ExportPlan
from campaigns.models.failed_pushes import FailedPushDay, FailedPushFile
from campaigns.models.figures import RobotVersion, TaskFigures
from campaigns.models.gaps import Gap, GapMark, TaskTally
from campaigns.models.history import StatusChange
from campaigns.models.imports import ContactImport, RejectedRow, StagedRow
from campaigns.models.incidents import Incident
from campaigns.models.installation import Installation
from campaigns.models.lineage import Experiment, Redial
from campaigns.models.notices import (
    Notice,
    NoticeDelivery,
    NoticeEvent,
    NoticeHook,
    NoticeMatch,
    NoticeReader,
    NoticeRule,
)
from campaigns.models.retention import Erasure, KeepRule
from campaigns.models.reviews import Correction, Judgement, Remark, Review, ReviewRule
from campaigns.models.tasks import Attempt, Batch, Contact, ContactName, Instance, Task

__all__ = [
    "Account",
    "AccountToken",
    "Agent",
    "AgentEvent",
    "Approval",
    "Attempt",
    "BarListImport",
    "Batch",
    "BulkJob",
    "BulkRow",
    "Call",
    "CallDay",
    "CallHour",
    "CallMark",
    "CallbackToken",
    "Contact",
    "ContactImport",
    "ContactName",
    "ContextDefault",
    "ContextImport",
    "Correction",
    "CountState",
    "DoNotCall",
    "DoNotCallRule",
    "Erasure",
    "Exchange",
    "Experiment",
    "Export",
    "ExportPlan",
    "FailedPushDay",
    "FailedPushFile",
    "Gap",
    "GapMark",
    "Holiday",
    "InboundAnswer",
    "InboundContext",
    "Incident",
    "Installation",
    "Instance",
    "Judgement",
    "KeepRule",
    "Line",
    "Notice",
    "NoticeDelivery",
    "NoticeEvent",
    "NoticeHook",
    "NoticeMatch",
    "NoticeReader",
    "NoticeRule",
    "Recording",
    "Redial",
    "RejectedRow",
    "Remark",
    "Review",
    "ReviewRule",
    "Robot",
    "RobotVersion",
    "SavedFilter",
    "SemanticRule",
    "StagedRow",
    "StatusChange",
    "Task",
    "TaskCount",
    "TaskFigures",
    "TaskTally",
    "Turn",
    "Verification",
    "Voice",
]
