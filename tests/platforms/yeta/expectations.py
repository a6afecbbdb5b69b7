"""In: nothing. Out: words of yeta's tables that no payload shows, and what is odd in samples."""

from __future__ import annotations

UNSEEN = {
    "results of calls": "-1 2 3 4 5 6 7 8 9 16 18 19 22 23 25 26 27 28",
    "states of tasks": "0 1 2 3 5 6 7",
    "types of tasks": "0 2",  # required by the table, missing in the sample
    "states of robots": "1 2 3",
    "types of robots": "2",
    # the text shows no refusal at all
    "error codes": "200101 10001 10002 10003 10004 10005 10020 10021 200200 200201 200202 200203"
    " 200204 200205 200206 200209 200210 200211 200212 200213 200222 3030002 3010102 3010101",
}
#: every sample of the text can be read without loss
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {}
