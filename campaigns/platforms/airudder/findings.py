"""In: what the script of AI Rudder found out in a call. Out: questions and slots in our words.

All of it is the customer's data, names and all: labels and slots are open maps, and slots are "" or
an object.
"""

from __future__ import annotations

from typing import Any

from campaigns.platforms.airudder.details import read_map, read_objects
from campaigns.platforms.airudder.vocabulary import ANSWERED_WORDS, find_word
from campaigns.platforms.values import Fields


def read_findings(call: Fields) -> dict[str, Any]:
    """The details that mean the same for every platform."""
    return {
        "intention_text": call.text("intention_description"),
        "questions": [read_question(found) for found in read_objects(call, "question_answer")],
        "labels": read_map(call, "multi_label"),
        "slots": read_slots(call),
    }


def read_question(fields: Fields) -> dict[str, Any]:
    """One of ``question_answer``: its meaning, and the rest under the vendor's names."""
    places = {"question_name", "question_content", "answer", "answer_text", "status"}
    word = find_word(ANSWERED_WORDS, fields.text("whether_answer", limit=100))
    return {
        **fields.rest(places),
        "name": fields.text("question_name") or "",
        "question": fields.text("question_content") or "",
        "answer": fields.text("answer") or "",
        "text": fields.text("answer_text") or "",
        "status": fields.text("status") or "",
        "answered": ANSWERED_WORDS[word] if word else None,
    }


def read_slots(fields: Fields) -> dict[str, Any]:
    """``slots`` and ``ner_slots`` in one; where both have a name, that of the second says so."""
    slots = read_map(fields, "slots")
    for name, value in read_map(fields, "ner_slots").items():
        slots[f"ner_slots.{name}" if name in slots else name] = value
    return slots
