"""Why something is not recorded, and what to type instead."""

from __future__ import annotations

from ..errors import RefusedError
from ..i18n import _


class IncidentError(RefusedError):
    """The record, or the rules, stand against it. Nothing was recorded, nothing done."""

    def __init__(self, error_id: str, message: str, *, expected: str = "", found: str = "", hint: str = "") -> None:
        rows = {_("expected"): expected, _("found"): found}
        detail = "\n".join(f"{label}: {value}" for label, value in rows.items() if value)
        super().__init__(message, detail=detail, hint=hint)
        self.error_id = error_id
        self.expected = expected
        self.found = found
