"""The dump as text, read once: its binary values and large objects for the scanner, its rows for the documents, its code by hash.

``pg_restore`` only writes text here; nothing of the dump is executed. It runs confined all the same, because what it reads is suspect.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import re
import subprocess
import tempfile
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from .backup_place import DUMP, SetError, open_plain
from .backup_scan import Batch, confined

# A longer line is not held in memory; it could not be scanned either.
MOST_LINE_BYTES = 512 << 20
TEXT_FILE_BYTES = 16 << 20
# Text may be so many times larger than the dump that it came from.
MOST_EXPANSION = 300
HEADING = re.compile(rb"-- (?:Data for )?Name: (.*); Type: ([A-Z ]+); Schema: ([^;]*);")
COPY = re.compile(rb"COPY (\S+) \((.*)\) FROM stdin;")
LOWRITE = re.compile(rb"SELECT pg_catalog\.lowrite\(0, '\\x([0-9a-f]*)'\);")
CODE = (
    "FUNCTION",
    "PROCEDURE",
    "TRIGGER",
    "EVENT TRIGGER",
    "EXTENSION",
    "RULE",
    "AGGREGATE",
    "FOREIGN DATA WRAPPER",
    "SERVER",
    "PROCEDURAL LANGUAGE",
)
HEX = b"\\\\x"


class Reading(NamedTuple):
    """What one passage over a dump has found."""

    code: Dict[str, str]
    values: int
    large_objects: int
    rows: int
    too_large: int


class Reader:
    """Takes the text line by line; hands values to ``batch`` and (path, sha256) of each row of documents to ``row``."""

    def __init__(self, batch: Optional[Batch], table: Dict[str, str], row: Callable[[str, str], None]) -> None:
        self._batch = batch
        self._table = table
        self._row = row
        self._columns: Optional[List[str]] = None
        self._copied = ""
        self._wanted: Optional[List[int]] = None
        self._object: Optional[List[bytes]] = None
        self._text: List[bytes] = []
        self._text_bytes = 0
        self._code: Dict[str, Any] = {}
        self._now: Any = None
        self.values = self.objects = self.rows = self.too_large = 0

    def line(self, line: bytes) -> None:
        """Take one line, without its end."""
        # The hexadecimal digits of a large object are scanned as what they mean.
        if self._object is None:
            self._text.append(line)
            self._text_bytes += len(line) + 1
        if self._text_bytes >= TEXT_FILE_BYTES:
            self._flush_text()
        if self._columns is not None:
            self._data(line)
            return
        copy = COPY.fullmatch(line)
        if copy:
            self._begin_copy(copy[1].decode("utf-8", "replace"), copy[2].decode("utf-8", "replace"))
            return
        heading = HEADING.match(line)
        if heading:
            kind = heading[2].decode()
            name = "%s %s.%s" % (kind, heading[3].decode("utf-8", "replace"), heading[1].decode("utf-8", "replace"))
            self._now = self._code.setdefault(name, hashlib.sha256()) if kind in CODE else None
        elif self._now is not None and line and not line.startswith(b"--"):
            self._now.update(line + b"\n")
        self._large_object(line)

    def _begin_copy(self, table: str, columns: str) -> None:
        self._columns = [name.strip().strip('"') for name in columns.split(",")]
        self._copied, self._now, self._wanted = table, None, None
        if table == self._table.get("table"):
            places = [self._table["path"], self._table["sha256"]]
            self._wanted = (
                [self._columns.index(name) for name in places] if set(places) <= set(self._columns) else None
            )

    def _data(self, line: bytes) -> None:
        if line == b"\\.":
            self._columns = None
            return
        if HEX not in line and self._wanted is None:
            return
        fields = line.split(b"\t")
        for field in fields:
            if field.startswith(HEX):
                self.values += 1
                self._value(field[len(HEX) :], "%s" % self._copied)
        if self._wanted is not None and max(self._wanted) < len(fields):
            path, sha256 = (fields[place].decode("utf-8", "surrogateescape") for place in self._wanted)
            if path != "\\N":
                self.rows += 1
                self._row(path, sha256)

    def _large_object(self, line: bytes) -> None:
        if line.startswith(b"SELECT pg_catalog.lo_open("):
            self._object = []
        elif line.startswith(b"SELECT pg_catalog.lo_close(") and self._object is not None:
            self.objects += 1
            self._value(b"".join(self._object), "large object %d" % self.objects)
            self._object = None
        elif self._object is not None:
            written = LOWRITE.fullmatch(line)
            if written:
                self._object.append(written[1])
                if sum(map(len, self._object)) > MOST_LINE_BYTES:
                    self._object, self.too_large = None, self.too_large + 1

    def _value(self, digits: bytes, title: str) -> None:
        try:
            data = binascii.unhexlify(digits)
        except ValueError:
            # No bytea: the text that it is has been kept with the rest of the text.
            return
        self._scan(data, title)

    def _scan(self, data: bytes, title: str) -> None:
        if self._batch is None or not data:
            return
        path = self._batch.new("%s: %s" % (DUMP, title))
        with open(path, "wb") as stream:
            stream.write(data)
        self._batch.written(path, len(data))

    def _flush_text(self) -> None:
        self._scan(b"\n".join(self._text), "text")
        self._text, self._text_bytes = [], 0

    def end(self) -> Reading:
        """Take the last of it."""
        self._flush_text()
        code = {name: digest.hexdigest() for name, digest in self._code.items()}
        return Reading(code, self.values, self.objects, self.rows, self.too_large)


def read(
    folder: str, program: str, user: str, reader: Reader, seen: Callable[[int], None], schema_only: bool = False
) -> Reading:
    """Read a set's dump to its end. SetError where pg_restore cannot, or where it swells beyond measure.

    ``seen`` is told how many bytes of the dump have gone by.
    """
    words = [program, "-f", "-", *(["--schema-only"] if schema_only else [])]
    descriptor = open_plain(os.path.join(folder, DUMP))
    total, done, text = os.fstat(descriptor).st_size, 0, 0
    process: Optional["subprocess.Popen[bytes]"] = None
    try:
        # Complaints go to a file: a pipe that nobody empties would stop it.
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 - goes with the process
        process = subprocess.Popen(
            confined(user, words), stdin=descriptor, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
        )
        assert process.stdout is not None
        whole = True
        while True:
            line = process.stdout.readline(MOST_LINE_BYTES)
            if not line:
                break
            text += len(line)
            if not line.endswith(b"\n"):
                # A part of a line that is too long to be held.
                reader.too_large += 1 if whole else 0
                whole = False
            elif whole:
                reader.line(line[:-1])
            else:
                whole = True
            if text > MOST_EXPANSION * total + (1 << 30):
                raise SetError("dump_bomb", "more than %d times its size as text" % MOST_EXPANSION)
            # Both read the same open file, so its position is how far pg_restore is.
            place = os.lseek(descriptor, 0, os.SEEK_CUR)
            if place > done:
                seen(place - done)
                done = place
        if process.wait() != 0:
            complaints.seek(0)
            said = complaints.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
            raise SetError("dump_unreadable", said[-1] if said else "pg_restore: exit %d" % process.returncode)
        return reader.end()
    finally:
        if process is not None:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        os.close(descriptor)
