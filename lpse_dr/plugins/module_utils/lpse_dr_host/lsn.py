"""Positions in the write-ahead log. Written as "16/B374D848" they do not compare as text; as numbers they do."""

from __future__ import annotations

from .base import VerbError


def lsn_to_int(text: str) -> int:
    """Return a position as its byte number; VerbError ``database.lsn_unreadable`` where it is none."""
    try:
        high, low = str(text).strip().split("/")
        return (int(high, 16) << 32) + int(low, 16)
    except ValueError:
        raise VerbError("database.lsn_unreadable", "a position like 0/3000060", repr(text)) from None


def int_to_lsn(number: int) -> str:
    """Return a byte number as PostgreSQL writes positions."""
    return "%X/%X" % (number >> 32, number & 0xFFFFFFFF)
