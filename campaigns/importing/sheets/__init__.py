"""In: the bytes of a workbook, which nobody trusts. Out: its rows as lines of JSON.

A program of its own, run in a process of its own by ``campaigns.importing.workbooks``: whatever a
workbook makes a reader do (eat memory, never end, crash), the worker that asked for its rows lives
on. So nothing here imports Django or the rest of Callboard.

container (is it a workbook, and safe to unpack?) → xlsx or xls (which sheets?) → rows, cells (what
stands in them?) → program (tell it).
"""
