"""In: the words and codes of acme. Out: ours. The only place that knows both."""

from __future__ import annotations

from dataclasses import dataclass

from campaigns.platforms.contract import StatusTable
from campaigns.platforms.errors import Consequence, ErrorCode
from campaigns.platforms.events import Direction, HangupBy, Result


@dataclass(frozen=True, slots=True)
class CallResult:
    """One word of ``outcome`` and ours."""

    result: Result
    answered: bool


RESULTS = {
    "talked": CallResult(Result.ANSWERED, True),
    "nobody": CallResult(Result.NO_ANSWER, False),
    "engaged": CallResult(Result.BUSY, False),
    "wrong": CallResult(Result.INVALID_NUMBER, False),
}
DIRECTIONS = {"in": Direction.INBOUND, "out": Direction.OUTBOUND}
SIDES = {"us": HangupBy.ROBOT, "them": HangupBy.CONTACT}

LOGIN_REFUSED = ErrorCode(
    "login",
    "wrong key",
    Consequence.PAUSE_ACCOUNT,
    "The platform refuses the login. Check app_key and app_secret of the account.",
)
ERRORS = {LOGIN_REFUSED.code: LOGIN_REFUSED}

VOCABULARY = (
    StatusTable("outcomes", ("outcome",), RESULTS),
    StatusTable("ways", ("way",), DIRECTIONS),
    StatusTable("sides", ("hung",), SIDES),
)
