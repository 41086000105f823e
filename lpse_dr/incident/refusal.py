"""Why something is not recorded, and what to type instead."""

from __future__ import annotations

from ..errors import JudgedError
from ..i18n import _


class IncidentError(JudgedError):
    """The record, or the rules, stand against it. Nothing was recorded, nothing done."""

    def __init__(self, error_id: str, message: str, *, expected: str = "", found: str = "", hint: str = "") -> None:
        rows = {_("expected"): expected, _("found"): found}
        detail = "\n".join(f"{label}: {value}" for label, value in rows.items() if value)
        super().__init__(error_id, message, expected=expected, found=found, detail=detail, hint=hint)
