"""In: what was said in a call, and rules. Out: values, each with where it was found.

numerals, phones, dates (text → what was meant), patterns (a matcher that cannot be made slow),
rules (one rule on one request). ``functions`` runs what an installation programmed itself. Knows no
database: ``campaigns.answering`` brings the rules and keeps the answers.
"""
