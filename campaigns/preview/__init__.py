"""In: a draft. Out: what launching it would do: to whom, in which hours, for how long, and what
speaks against it.

``counting`` asks the rows, with the conditions of the planner and of the gate, and writes nothing;
``estimating`` is arithmetic, each of its assumptions named. ``describe_launch`` puts them together.
"""

from campaigns.preview.describing import LaunchPreview, describe_launch
from campaigns.preview.estimating import Assumption, Given

__all__ = ["Assumption", "Given", "LaunchPreview", "describe_launch"]
