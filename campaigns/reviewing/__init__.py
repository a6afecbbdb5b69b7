"""In: rules of review. Out: calls drawn by them, judged by people, and what came of it."""

from campaigns.reviewing.drawing import Drawn, draw_reviews, list_due_rules
from campaigns.reviewing.judging import (
    JudgingRefused,
    can_change,
    claim_review,
    count_waiting,
    judge_review,
    list_waiting,
    skip_review,
)
from campaigns.reviewing.numbers import Accuracy, Figures, read_figures, settle_intention

__all__ = [
    "Accuracy",
    "Drawn",
    "Figures",
    "JudgingRefused",
    "can_change",
    "claim_review",
    "count_waiting",
    "draw_reviews",
    "judge_review",
    "list_due_rules",
    "list_waiting",
    "read_figures",
    "settle_intention",
    "skip_review",
]
