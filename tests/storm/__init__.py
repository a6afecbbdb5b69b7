"""In: a seed, pushes and kills. Out: whether a push that was taken was lost, or counted twice.

The kill storm: a platform pushes calls, each push twice and in no order, while web, worker and
database are killed. At the end its ledger is held against the disk, and the rows against those of
a run in which nothing was killed. ``python -m tests.storm`` runs it, ``tests.storm.mistakes`` shows
that it can fail; what is promised is told in ``docs/reliability.md``.
"""
