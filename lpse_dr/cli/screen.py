"""Everything that is printed: text for people on 60 columns, or one JSON envelope for programs."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from ..i18n import N_, _

VERDICTS = {
    "COMPLETED": N_("DONE"),
    "REFUSED": N_("REFUSED"),
    "ROLLED_BACK": N_("ROLLED BACK"),
    "INCOMPLETE": N_("INCOMPLETE"),
    "UNKNOWN": N_("UNKNOWN"),
}


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def office_time(moment: str | float | None, zone: str, *, date: bool = True) -> str:
    """Show a moment (ISO 8601 or seconds since 1970, both UTC) in the office's zone, e.g. WITA."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    if moment is None:
        return "-"
    try:
        parsed = (
            datetime.fromtimestamp(moment, UTC) if isinstance(moment, int | float) else datetime.fromisoformat(moment)
        )
    except (ValueError, OverflowError):
        return "-"
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed.astimezone(ZoneInfo(zone)).strftime("%d-%m-%Y %H:%M:%S %Z" if date else "%H:%M:%S %Z")


def size_text(count: int | float | None) -> str:
    """Show bytes for people."""
    if count is None:
        return "?"
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1024 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return ""


def seconds_text(seconds: float | None) -> str:
    """Show a duration for people."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return _("{seconds} s").format(seconds=f"{seconds:.1f}")
    if seconds >= 3600:
        return _("{hours} h {minutes} min").format(hours=int(seconds // 3600), minutes=int(seconds % 3600 // 60))
    return _("{minutes} min {seconds} s").format(minutes=int(seconds // 60), seconds=int(seconds % 60))


def value_text(value: Any) -> str:
    """Show a value of a reading or a figure for people."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None:
        return "?"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(value_text(item) for item in value) or "-"
    return str(value)


class Screen:
    """Where text goes. In JSON mode stdout carries nothing but the envelope."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.width = max(40, min(shutil.get_terminal_size((80, 24)).columns, 100))

    def line(self, text: str = "", *, indent: str = "", following: str | None = None) -> None:
        """Print a line of the answer, folded to the screen; further lines begin with `following`."""
        if not self.as_json:
            print(fold(text, self.width, indent, following) if text else "", flush=True)

    def raw(self, text: str) -> None:
        """Print a line that must not be folded (a path, a table)."""
        if not self.as_json:
            print(visible(text), flush=True)

    def say(self, text: str, *, indent: str = "") -> None:
        """Print progress, or a notice: never part of the answer."""
        print(fold(text, self.width, indent), file=sys.stderr, flush=True)

    def pairs(self, rows: Mapping[str, str]) -> None:
        """Print labelled values."""
        label_width = max((len(label) for label in rows), default=0) + 2
        for label, value in rows.items():
            text = f"{label:<{label_width}}{value}"
            if not self.as_json:
                print(fold(text, self.width, "", " " * label_width), flush=True)

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        """Print columns; on a narrow screen each row becomes a small block instead."""
        widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
        if sum(widths) + 2 * (len(widths) - 1) <= self.width:
            for row in [head, *rows]:
                text = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
                self.raw(text.rstrip())
            return
        for row in rows:
            self.line(row[0])
            for label, cell in zip(head[1:], row[1:], strict=True):
                if cell:
                    self.line(f"{label}: {cell}", indent="  ")

    def envelope(self, value: Mapping[str, Any]) -> None:
        """Print the one JSON line."""
        import json

        print(visible(json.dumps(value, ensure_ascii=False, default=str)), flush=True)


def visible(text: str) -> str:
    """Return the text with whatever could steer a terminal, or turn letters round, spelled out as \\uXXXX.

    Names and notes come from many hands. In JSON, too, this spelling means the same letter.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def fold(text: str, width: int, indent: str, following: str | None = None) -> str:
    """Fold text; words longer than the screen (paths, commands) stay whole."""
    lines: list[str] = []
    hanging = indent if following is None else following
    for part in visible(text).split("\n"):
        lines += textwrap.wrap(
            part, width, initial_indent=hanging if lines else indent, subsequent_indent=hanging,
            break_long_words=False, break_on_hyphens=False,
        ) or [""]  # fmt: skip
    return "\n".join(lines)
