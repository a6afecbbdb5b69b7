"""In: what went wrong between us and a platform. Out: one error type that says what to do about it.

The type is the decision. ``dispatch`` and ``reconcile`` look at the type, never at a vendor's code:

=================  ========================================================================
``NotSent``        not one byte of the request left this machine: it may be sent again
``Throttled``      the platform refused because it is busy: it may be sent again, later
``Rejected``       the platform refused and says why: see ``Consequence``
``Uncertain``      the request may have been carried out: never sent again by itself
=================  ========================================================================

``Unrecognised`` and ``Ignored`` are the two answers of a callback parser that makes no events.
No text of these errors holds a secret, a token or a whole phone number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Consequence(StrEnum):
    """What a documented refusal means for us."""

    RETRY = "retry"  # nothing happened; the same request may be sent later
    REFRESH_TOKEN = "refresh_token"  # nothing happened; ask for a new token, once
    REFUSE_ROW = "refuse_row"  # one or more rows are wrong; the others may be sent without them
    FAIL_TASK = "fail_task"  # the task cannot be carried out as it is
    PAUSE_TASK = "pause_task"  # the task waits until somebody repairs the cause
    PAUSE_ACCOUNT = "pause_account"  # every task of the account waits (no balance, locked out)
    TELL_OPERATOR = "tell_operator"  # we asked something wrong; a person has to look


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of a vendor's table of error codes.

    ``code`` the vendor's code as a string; ``text`` the vendor's own words; ``consequence`` what it
    means for us; ``advice`` an English sentence for the operator (translated at the edge).
    """

    code: str
    text: str
    consequence: Consequence
    advice: str


class PlatformError(Exception):
    """Base of everything that can go wrong while talking to a platform."""

    #: a sentence for the operator, in English, without secrets and phone numbers
    advice: str = ""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        if advice:
            self.advice = advice


class NotSent(PlatformError):
    """Name not found, connection refused or timed out, TLS refused, address forbidden, or not one
    byte written. Nothing was done; sending again is safe."""

    advice = "Nothing was sent. Check the address of the account and the network."


class Forbidden(NotSent):
    """The address is not one that this installation may talk to (private, loopback, other host)."""

    advice = "This address may not be used. Name its host in PLATFORM_ALLOW_HOSTS if it should be."


class Throttled(PlatformError):
    """The platform is busy (HTTP 429, a documented "busy" code): nothing was done, try later.

    ``retry_after`` is in seconds, None when the platform does not say.
    """

    advice = "The platform is busy. Sending goes on more slowly by itself."

    def __init__(
        self, message: str, *, code: ErrorCode | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, advice=code.advice if code else "")
        self.code = code
        self.retry_after = retry_after


class Rejected(PlatformError):
    """A documented refusal, complete and understood. Nothing was done."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(f"{code.code} {code.text}", advice=code.advice)
        self.code = code

    @property
    def consequence(self) -> Consequence:
        return self.code.consequence


class Uncertain(PlatformError):
    """Bytes were written and no complete, documented answer came back: a time-out, a cut reply,
    3xx, 5xx, HTML, an undocumented code, a count that is not ours. It may have been carried out."""

    advice = "The platform may have carried this out. It is not sent again before that is known."


class Unrecognised(Exception):
    """A push that is not this platform's, or not readable: the receipt is quarantined.

    ``reason`` is one of a few stable lower_case words that a screen can filter by.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Ignored(Exception):
    """A push that is theirs and known, and that deliberately changes nothing here."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
