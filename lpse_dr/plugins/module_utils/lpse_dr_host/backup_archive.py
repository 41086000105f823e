"""The archive of documents: read once, from beginning to end, without believing a single name in it."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tarfile
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

from .backup_place import ARCHIVE, DOCUMENTS, PIECE, SHA256, SetError, open_plain
from .backup_scan import MOST_FILE_BYTES, Batch

MOST_LINE_BYTES = 1 << 16


class Document(NamedTuple):
    """A line of the list of documents."""

    path: str
    bytes: int
    at: int
    sha256: str


def listed(folder: str) -> Iterator[Document]:
    """Yield the documents as the set's list has them. SetError for a line that is none."""
    with os.fdopen(open_plain(os.path.join(folder, DOCUMENTS)), "rb") as stream:
        while True:
            line = stream.readline(MOST_LINE_BYTES)
            if not line:
                return
            try:
                found = json.loads(line)
                document = Document(found["path"], found["bytes"], found["at"], found["sha256"])
                if not (
                    isinstance(document.path, str)
                    and isinstance(document.bytes, int)
                    and SHA256.fullmatch(document.sha256)
                ):
                    raise ValueError("no path, size and hash")
            except (ValueError, KeyError, TypeError) as error:
                raise SetError("list_unreadable", "the list of documents: %s" % error) from error
            yield document  # fmt: skip


def safe_name(name: str) -> bool:
    """Tell whether a member's name stays inside: relative, without a way up, printable to a file system."""
    plain = posixpath.normpath(name)
    return (
        bool(name)
        and plain == name.rstrip("/")
        and not name.startswith("/")
        and plain.split("/", 1)[0] != ".."
        and "\0" not in name
    )


def members(folder: str) -> Iterator[Tuple[tarfile.TarInfo, Any]]:
    """Yield (member, its open content), in order. SetError for whatever is no plain file inside the archive."""
    path = os.path.join(folder, ARCHIVE)
    size, taken = os.path.getsize(path), 0
    try:
        with os.fdopen(open_plain(path), "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                # The list of members that tarfile keeps would grow with the archive.
                archive.members = []  # type: ignore[attr-defined] # typeshed does not know it
                if not safe_name(member.name):
                    raise SetError("path_outside", repr(member.name[:200]))
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                    raise SetError("not_plain", member.name)
                taken += member.size
                if taken > size:
                    raise SetError("archive_bomb", member.name)
                yield member, archive.extractfile(member)
    except (tarfile.TarError, OSError, EOFError, MemoryError) as error:
        raise SetError("archive_unreadable", "%s: %s" % (ARCHIVE, error)) from error


def pieces(content: Any) -> Iterator[bytes]:
    """Yield a member's content. SetError where the archive ends in the middle of it."""
    try:
        while True:
            piece: bytes = content.read(PIECE)
            if not piece:
                return
            yield piece
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SetError("archive_unreadable", "%s: %s" % (ARCHIVE, error)) from error


def inspect(
    folder: str, batch: Optional[Batch], seen: Callable[[int], None], row: Callable[[str, str], None]
) -> Dict[str, Any]:
    """Compare the archive with its list, document by document, and hand each to the scanner; {count, bytes, too_large}.

    ``row`` is told path and hash of every document. SetError for the first difference.
    """
    expected = listed(folder)
    count, size, too_large = 0, 0, []
    for member, content in members(folder):
        wanted = next(expected, None)
        if wanted is None or (wanted.path, wanted.bytes) != (member.name, member.size):
            raise SetError("archive_differs", member.name)
        # A file that the scanner cannot take is hashed all the same.
        scannable = batch is not None and member.size <= MOST_FILE_BYTES
        if not scannable:
            too_large.append(member.name)
        digest = hashlib.sha256()
        path = batch.new(member.name, seen) if scannable and batch is not None else os.devnull
        with open(path, "wb") as copy:
            for piece in pieces(content):
                digest.update(piece)
                copy.write(piece)
                if not scannable:
                    seen(len(piece))
        if scannable and batch is not None:
            batch.written(path, member.size)
        if digest.hexdigest() != wanted.sha256:
            raise SetError("archive_differs", "%s: SHA-256" % member.name)
        row(member.name, wanted.sha256)
        count, size = count + 1, size + member.size
    missing = next(expected, None)
    if missing is not None:
        raise SetError("archive_differs", "%s: -" % missing.path)
    if batch is not None:
        batch.flush(seen)
    return {"count": count, "bytes": size, "too_large": too_large if batch is not None else []}
