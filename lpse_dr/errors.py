"""The one small tree of errors that a user may see.

Every error carries three parts: *message* (what is wrong, one sentence), *detail* (what was found,
possibly several lines) and *hint* (what to do; a command to type where there is one). Libraries
raise, only `cli/` prints and exits: each class therefore names its exit code and never calls exit.
"""

from __future__ import annotations


class LpseDrError(Exception):
    """Something that a user can understand and act upon. Exit code 70 unless a subclass says so."""

    exit_code = 70
    error_id = "error"

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint


class UsageError(LpseDrError):
    """The command, or a file that a person wrote, is wrong. Nothing was started."""

    exit_code = 2
    error_id = "usage"


class OfficeError(UsageError):
    """The office folder is missing or holds something that cannot be understood."""

    error_id = "office"


class RefusedError(LpseDrError):
    """A check before the first change said no. Nothing was changed."""

    exit_code = 3
    error_id = "refused"


class JudgedError(RefusedError):
    """A named check said no. It has the id of the guard that would say so, what it expected and what it found."""

    def __init__(
        self, error_id: str, message: str, *, expected: str = "", found: str = "", detail: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.error_id = error_id
        self.expected = expected
        self.found = found


class BusyError(RefusedError):
    """Another changing operation is going on, and only one may."""

    error_id = "operation.free"


class InventoryError(RefusedError):
    """The inventory does not describe two usable sites."""

    error_id = "inventory"


class JournalError(LpseDrError):
    """The record could not be written, so the act that it announces must not happen."""

    exit_code = 3
    error_id = "journal"


class LabError(LpseDrError):
    """The lab could not be built or removed: one sentence with the cure."""

    exit_code = 3
    error_id = "lab"


class RunnerError(LpseDrError):
    """A run could not be started, or its record cannot be read."""

    exit_code = 3
    error_id = "runner"
