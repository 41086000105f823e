"""The watch misses nothing: not in a folder made a moment ago, and not in silence."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import files_watch
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.files import VERBS
from lpse_dr.plugins.module_utils.lpse_dr_host.files_watch import Watch


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Context]:
    """Yield a context whose root is watched."""
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026/old.bid").write_text("old")
    ctx = Context("pdc-app", "pdc", {"files_root": str(tmp_path), "files_exclude": ["*.part"]}, None, 20.0)
    VERBS["watch"](ctx, {})
    yield ctx
    ctx.memory["files.watch"].close()


def changed(ctx: Context) -> list[str]:
    """Return the changed paths, proven complete."""
    found: list[str] = VERBS["changed"](ctx, {"barrier": True})["paths"]
    return found


def test_what_changed_is_told_once_and_only_finished_documents(source: Context, tmp_path: Path) -> None:
    (tmp_path / "2026/half.bid.part").write_text("x")
    (tmp_path / "2026/a.bid.part").write_text("x")
    (tmp_path / "2026/a.bid.part").rename(tmp_path / "2026/a.bid")
    os.link(tmp_path / "2026/a.bid", tmp_path / "2026/linked.bid")
    (tmp_path / "2026/gone.bid").write_text("x")
    (tmp_path / "2026/gone.bid").unlink()
    assert changed(source) == ["2026/a.bid", "2026/linked.bid"]
    assert changed(source) == []
    with (tmp_path / "2026/old.bid").open("a") as stream:
        stream.write("more")
    assert changed(source) == ["2026/old.bid"]


def test_nothing_is_missed_in_folders_that_appear(source: Context, tmp_path: Path) -> None:
    def write(number: int) -> None:
        for day in range(20):
            folder = tmp_path / f"2027/{number}/{day}/deep er"
            folder.mkdir(parents=True)
            for name in range(5):
                (folder / f"{name}.bid.part").write_text("x")
                (folder / f"{name}.bid.part").rename(folder / f"{name}.bid")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    found: set[str] = set()
    while any(writer.is_alive() for writer in writers):
        found.update(changed(source))
    found.update(changed(source))
    assert len(found) == 4 * 20 * 5


def test_a_folder_moved_in_brings_its_documents_and_is_watched_under_its_new_name(
    source: Context, tmp_path: Path
) -> None:
    outside = tmp_path.parent / (tmp_path.name + "-outside")
    (outside / "in").mkdir(parents=True)
    (outside / "in/a.bid").write_text("x")
    outside.rename(tmp_path / "moved")
    assert changed(source) == ["moved/in/a.bid"]
    (tmp_path / "moved").rename(tmp_path / "again")
    assert changed(source) == ["again/in/a.bid"]
    (tmp_path / "again/in/b.bid").write_text("x")
    assert changed(source) == ["again/in/b.bid"]


def test_an_overflow_is_an_error_for_good(source: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    watch: Watch = source.memory["files.watch"]
    watch._take(files_watch.HEAD.pack(-1, files_watch.OVERFLOW, 0, 0))
    for verb, args in (("changed", {}), ("changed", {"barrier": True}), ("watch", {})):
        with pytest.raises(VerbError) as error:
            VERBS[verb](source, args)
        assert error.value.id == "files.watch_lost"


def test_a_dead_reader_is_an_error(source: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch: Watch = source.memory["files.watch"]

    def breaks(path: bytes, mask: int) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(watch, "_note", breaks)
    (tmp_path / "2026/a.bid").write_text("x")
    with pytest.raises(VerbError) as error:
        changed(source)
    assert error.value.id == "files.watch_lost"
    assert "broken" in error.value.found


def test_asking_without_a_watch_is_an_error(tmp_path: Path) -> None:
    ctx = Context("pdc-app", "pdc", {"files_root": str(tmp_path)}, None, 5.0)
    with pytest.raises(VerbError):
        VERBS["changed"](ctx, {})
