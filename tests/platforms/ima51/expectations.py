"""In: nothing. Out: what the payloads of 51ima hold that cannot be used, by name of the payload."""

from __future__ import annotations

_AS_DOCUMENTED = {
    "parkingWaitDuration": "is not between 0 and 86400",  # an epoch second (oddity ima-8)
    "evaluationScore": "is not between 0 and 5",  # -1 (oddity ima-10)
}

#: The sample of the text holds two impossible values, and so does the same record unwrapped.
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {
    "callRecord__sample": _AS_DOCUMENTED,
    "callRecord__unwrapped": _AS_DOCUMENTED,
}
