"""The SOP as data: activities, conditions with their instructions, what was added, and what must not happen meanwhile.

The YAML files beside this module hold the words; an office adds conditions in ``OFFICE/conditions.d/``.
"""

from .load import SopError, load_sop
from .model import Activity, Choice, Condition, Interlock, Question, Role, Sop, Step, StepKind, When

__all__ = [
    "Activity",
    "Choice",
    "Condition",
    "Interlock",
    "Question",
    "Role",
    "Sop",
    "SopError",
    "Step",
    "StepKind",
    "When",
    "load_sop",
]
