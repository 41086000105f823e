"""Words are understood wherever they stand; what is wrong is said with the nearest right one, and exit 2."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.cli.grammar import Globals, load_noun, noun_names, split_globals
from lpse_dr.errors import UsageError

from .conftest import Call

ENVELOPE = ["schema", "command", "verdict", "exit_code", "changed", "error"]


@pytest.mark.parametrize(
    ("argv", "found", "rest"),
    [
        (["status"], {}, ["status"]),
        (["--lab", "status"], {"lab": "demo"}, ["status"]),
        (["status", "--lab"], {"lab": "demo"}, ["status"]),
        (["--lab", "two", "status"], {"lab": "two"}, ["status"]),
        (["--lab=status", "status"], {"lab": "status"}, ["status"]),
        (["status", "--lab", "two", "--watch"], {"lab": "two"}, ["status", "--watch"]),
        (["--office", "/x", "runs", "list"], {"office": "/x"}, ["runs", "list"]),
        (["runs", "list", "--office=/x", "-vv"], {"office": "/x", "verbosity": 2}, ["runs", "list"]),
        (
            ["-v", "--output", "json", "--lang", "id", "status"],
            {"verbosity": 1, "output": "json", "lang": "id"},
            ["status"],
        ),
        (["status", "--ask-become-pass"], {"ask_become_pass": True}, ["status"]),
        (["status", "--", "--lab"], {}, ["status", "--", "--lab"]),
    ],
)
def test_globals_stand_anywhere(argv: list[str], found: dict[str, Any], rest: list[str]) -> None:
    assert split_globals(argv) == (Globals(**found), rest)


@pytest.mark.parametrize(
    "argv",
    [
        ["--office"],
        ["--office", "--lab"],
        ["--output", "xml"],
        ["--lang", "nl"],
        # A variable that was not set must not end at the office in /etc.
        ["--office", ""],
        ["--office="],
        ["--lab", ""],
        ["--lab="],
    ],
)
def test_bad_globals(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        split_globals(argv)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("swichover", "'switchover'"),
        ("verify", "'journal verify'"),
        ("site chek", "'check'"),
        ("runs", ""),
        ("nonsense", "--help"),
        ("site check --too drc", "'--to'"),
        ("site check --for switchover2", "switchover"),
        ("runs show", "RUN"),
        ("database stop", "--at"),
        ("status extra", "extra"),
        ("--output josn status", "'json'"),
        ("--output yaml status", "--help"),
        ("failback --too drc", "'--to'"),
        ("-o json status", "not understood: -o"),
        ("--ofice /x status", "'--office'"),
        ("help foo", "'foo'"),
        ("site check drc", "'--to drc'"),
        ("database stop drc --at pdc", "'--at drc'"),
        ("switchover pdc drc", "switchover --help"),
        ("switchover -y", "'--yes'"),
        ("status -w", "'--watch'"),
        ("status --every nan", "--every"),
        ("status --every -1", "--every"),
        ("lab load --clients 0", "--clients"),
        ("lab load --seconds inf", "--seconds"),
        ("switchover --from", "switchover --help"),
        ("--office= status", "--office needs a value"),
    ],
)
def test_typos_suggest_what_was_meant(call: Call, words: str, said: str) -> None:
    spoken = call(*words.split())
    if said:
        assert spoken.code == 2
        assert said in spoken.err
    else:
        assert spoken.code == 0 and "usage" in spoken.out


def test_no_office_is_named(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lpse_dr.office.SYSTEM_OFFICE", tmp_path / "etc")
    spoken = call("status")
    assert spoken.code == 2
    for named in ("--office", "LPSE_DR_OFFICE", str(tmp_path / "etc")):
        assert named in spoken.err


def test_usage_error_as_json(call: Call) -> None:
    spoken = call("site", "chek", "--output", "json")
    assert list(spoken.envelope)[: len(ENVELOPE)] == ENVELOPE
    assert (spoken.envelope["exit_code"], spoken.envelope["error"]["id"]) == (2, "usage")


def test_help_lists_every_noun(call: Call) -> None:
    spoken = call("--help")
    assert spoken.code == 0
    for name in noun_names():
        assert f"  {name}" in spoken.out
    for name in noun_names():
        for verb in load_noun(name).verbs:
            shown = call(*filter(None, (name, verb.name, "--help")))
            assert shown.code == 0 and "usage" in shown.out, (name, verb.name)


def test_indonesian_by_default(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert "cara pakai" in call("--help").out
    assert "usage" in call("--help", "--lang", "en").out


def test_help_of_one_command(call: Call) -> None:
    assert "lpse-dr switchover [-h]" in call("help", "switchover").out
    assert "lpse-dr site check [-h]" in call("--help", "site", "check").out
    assert "runs show" in call("help", "runs").out


def test_also_a_bad_option_is_answered_in_the_language_asked_for(call: Call) -> None:
    for words in (("--lang", "id", "--output", "yaml"), ("--output", "yaml", "--lang=id")):
        assert "bukan salah satu dari" in call(*words).err


def _typed(*words: str, shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type a command into a shell, with what follows it there."""
    program = f"{sys.executable} -m lpse_dr {' '.join(words)} {shell}"
    argv = ["bash", "-c", f'{program}; echo "${{PIPESTATUS[0]}}" >&9']
    with tempfile.TemporaryFile("w+") as kept:
        argv[2] = argv[2].replace(">&9", f">&{kept.fileno()}")
        done = subprocess.run(
            argv, capture_output=True, text=True, env={**os.environ, **environment},
            pass_fds=[kept.fileno()], check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        kept.seek(0)
        done.returncode = int(kept.read())
    return done


@pytest.mark.parametrize(
    ("words", "shell", "code"),
    [
        ("--help", "| true", 141),
        ("--office /nowhere status --output json", "| true", 141),
        ("--office /nowhere status", "2>&1 | true", 141),
        ("--help", ">&-", 0),
        ("--office /nowhere status", "2>&-", 2),
        ("--office /nowhere switchover", "<&-", 2),
    ],
)
def test_nobody_listens(words: str, shell: str, code: int) -> None:
    # A pause, so that the reader is surely gone before anything is said.
    late = "| (exec <&-; sleep 2)"
    done = _typed(*words.split(), shell=shell.replace("| true", late))
    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception" not in done.stderr


def test_a_terminal_without_the_letters(tmp_path: Path) -> None:
    done = _typed("--office", "/tmp/kantor-\u00e9", "status", shell="", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "kantor-?" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from lpse_dr.cli.main import main; main(['--help']);"
        "print('HEAVY', [n for n in ('yaml', 'ansible', 'ansible_runner', 'jinja2', 'lpse_dr.runner.execute') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_a_bug_shows_no_traceback(call: Call, office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(state: Path) -> list[object]:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("lpse_dr.runner.folder.runs", broken)
    spoken = call("--office", office, "runs", "list")
    assert spoken.code == 70
    assert "Traceback" not in spoken.out + spoken.err
    kept = Path(
        next(word.rstrip(".") for word in spoken.err.split() if word.startswith("/") and "lpse-dr-" in word).rstrip(
            "."
        )
    )
    kept = kept if kept.exists() else Path(f"{kept}.txt")
    assert "ZeroDivisionError" in kept.read_text()
    kept.unlink()
    loud = call("--office", office, "runs", "list", "-v")
    assert "Traceback" in loud.err
