"""In: a seed, and how many contacts. Out: whether anybody was called twice, whatever was killed.

The crash bench: the program's own worker processes hand campaigns over to a pretend platform that
fails on every tenth request, while they are killed and stopped. ``docs/reliability.md`` tells what
is promised; here it is tried. ``python -m tests.crash`` runs it, ``tests.crash.mistakes`` shows
that it can fail.
"""
