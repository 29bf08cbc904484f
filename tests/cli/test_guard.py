"""What becomes of errors and of Ctrl-C: one line and an exit code."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import typer

from splade_engine.cli.guard import guarded
from splade_engine.errors import IndexCorruptError, InvalidInputError, StorageError


class Panic(BaseException):
    """As Rust's panics arrive in Python."""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InvalidInputError("c.jsonl:3: no id"), 2, "c.jsonl:3: no id"),
        (IndexCorruptError("a\x1b[2J\nb"), 1, "a [2J b"),
        (StorageError(28, "cannot write x: No space left on device"), 2, "cannot write x"),
        (OSError(28, "No space left on device", "a/b"), 1, "a/b: No space left on device"),
        (OSError(24, "Too many open files"), 1, "Too many open files (ulimit -n is too small)"),
        (PermissionError(13, "Permission denied", b"caf\xe9"), 1, "caf\ufffd: Permission denied"),
        (MemoryError(), 1, "out of memory"),
        (MemoryError("Unable to allocate 3 GiB"), 1, "out of memory: Unable to allocate 3 GiB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), 1, "out of memory"),
        (RuntimeError("can't start new thread"), 1, "out of memory: can't start new thread"),
        (RecursionError("maximum recursion depth exceeded"), 2, "the input is nested too deeply"),
        (OverflowError("int too large to convert to float"), 2, "a number is too large: int too large"),
        (
            ExceptionGroup("tasks", [ExceptionGroup("", [OSError(28, "No space left on device")])]),
            1,
            "No space",
        ),
        ("\ud800", 2, "a text that is no Unicode: 'utf-8' codec can't encode"),
        (
            TypeError("unhashable type: 'list'"),
            1,
            "internal error, TypeError: unhashable type: 'list'; --verbose",
        ),
        (Panic("called `Option::unwrap()` on a `None` value"), 1, "internal error, Panic: called"),
        (ValueError("x" * 200_000), 1, "internal error, ValueError: xxx"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else None,
)
def test_an_error_is_one_line(cli, monkeypatch, error, code, line):
    def failing(*arguments, **options):
        if isinstance(error, str):
            error.encode()
        raise error

    monkeypatch.setattr("splade_engine.cli.compact.run", failing)
    monkeypatch.setattr("splade_engine.index.SparseIndex.open", failing)
    result = cli("info", "ix", code=code)
    assert result.stdout == ""
    assert result.stderr.startswith(f"splade-engine: {line}")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) <= 2100


def test_a_pipe_that_nobody_reads_within_a_server(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with pytest.raises(typer.Exit) as ended, guarded():
        raise ExceptionGroup("unhandled errors in a TaskGroup", [BrokenPipeError(32, "Broken pipe")])
    sys.stdout.close()  # what stands in for it
    assert ended.value.exit_code == 141
    assert capsys.readouterr().err == ""


def test_verbose_shows_where_an_error_came_from(cli, monkeypatch):
    def failing(*arguments, **options):
        raise TypeError("\x1b[2J")

    monkeypatch.setattr("splade_engine.index.SparseIndex.open", failing)
    result = cli("--verbose", "info", "ix", code=1)
    assert "Traceback" in result.stderr
    assert "  File " in result.stderr
    assert "\x1b" not in result.stderr
    assert result.stderr.splitlines()[-1] == "splade-engine: internal error, TypeError: [2J"


# ---- Ctrl-C ------------------------------------------------------------------------------------------------

START = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
from splade_engine.cli import main
"""


def ended(code, *arguments, **options):
    """A process that runs `code`, then the command line."""
    command = [sys.executable, "-c", START + code + "\nmain()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_ctrl_c_during_an_import(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    import time; time.sleep(9)\n"
        "except BaseException: raise ImportError('half made')\n"
    )
    code = f"sys.path.insert(0, {str(tmp_path)!r})\nimport splade_engine.cli.info as info\n"
    code += "info.run = lambda folder: __import__('slow')"
    result = ended(code, "info", "ix")
    assert (result.returncode, result.stderr) == (130, "splade-engine: interrupted\n")


def test_ctrl_c_in_a_finalizer_is_not_forgotten():
    code = """
import splade_engine.cli.info as info
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
def run(folder: str) -> None:
    Finalized()
    time.sleep(9)
info.run = run
"""
    result = ended(code, "info", "ix")
    assert (result.returncode, result.stderr) == (130, "splade-engine: interrupted\n")


def test_ctrl_c_while_typer_reads_the_arguments():
    code = """
import typer.core
def printing(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)
typer.core.TyperGroup.make_context = printing
"""
    result = ended(code, "--help")
    assert (result.returncode, result.stderr) == (130, "splade-engine: interrupted\n")


def test_a_second_ctrl_c_ends_what_does_not_end():
    code = """
import splade_engine.cli.info as info
def run(folder: str) -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(9)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(9)
info.run = run
"""
    start = time.monotonic()
    result = ended(code, "info", "ix")
    assert (result.returncode, result.stderr) == (130, "splade-engine: interrupted\n")
    assert time.monotonic() - start < 9


SENT = {"SIGTERM": (143, "terminated"), "SIGHUP": (129, "the terminal was closed")}


@pytest.mark.parametrize("name", SENT)
def test_sigterm_and_sighup_end_a_command_as_ctrl_c_does(name, corpus_file, tmp_path):
    """It cleans up behind itself, and says how it goes on: what nobody handles only kills."""
    made = repr(str(tmp_path / "left"))
    code = f"""
signal.signal(signal.{name}, signal.SIG_DFL)  # under nohup it is ignored
import splade_engine.cli.options as options
from pathlib import Path
def survey(corpus):
    try:
        os.kill(os.getpid(), signal.{name})
        time.sleep(9)
    finally:
        Path({made}).touch()
options.survey = survey
"""
    exit_code, said = SENT[name]
    result = ended(code, "index", corpus_file, "-o", tmp_path / "ix")
    assert result.returncode == exit_code
    assert result.stderr == f"splade-engine: {said}; the same command goes on from there\n"
    assert (tmp_path / "left").exists()


def test_what_is_ignored_stays_ignored():
    """As nohup and the background jobs of a shell have it."""
    code = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
import splade_engine.cli.info as info
def run(folder: str) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    os.write(1, b"goes on")
info.run = run
"""
    result = ended(code, "info", "ix")
    assert (result.returncode, result.stdout, result.stderr) == (0, "goes on", "")


def test_the_hint_of_training_is_a_command(tmp_path):
    code = """
import splade_engine.training as run
def train(recipe, output, **options):
    output.mkdir()
    (output / "recipe.toml").write_text("")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)
run.train = train
"""
    result = ended(code, "train", "-o", tmp_path / "a run", "-r", "splade", "-d", "x")
    assert result.returncode == 130
    hint = f"splade-engine train -o '{tmp_path}/a run' --resume begins again, there is no checkpoint"
    assert result.stderr == f"splade-engine: interrupted; {hint}\n"


@pytest.mark.parametrize("command", ["--help", "index", "train"])
def test_ctrl_c_at_any_moment(command, corpus_file, tmp_path):
    """From the first line of the program on: exit 130 and one line, or the command was over."""
    rng = random.Random(command)
    needed = {
        "index": [corpus_file, "-o", tmp_path / "ix"],
        "train": ["-r", "splade", "-d", "x", "-o", tmp_path / "r"],
    }
    script = START + "os.write(1, b'ready\\n')\nmain()"
    arguments = [sys.executable, "-c", script, command, *map(str, needed.get(command, []))]
    for _ in range(5):
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            os.read(running.stdout.fileno(), 6)
            time.sleep(0.002 + rng.random() * 0.6)
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=60)
        assert b"Traceback" not in errors, errors
        assert running.returncode in (130, 0, 2, -signal.SIGINT)
        if running.returncode == 130:
            assert b"splade-engine: interrupted" in errors.splitlines()[-1]


def test_a_working_folder_that_is_gone(refused, monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    def asks(*args, **options):
        os.getcwd()  # noqa: PTH109  # as libraries do while they are imported

    monkeypatch.setattr("splade_engine.index.SparseIndex.open", asks)
    assert refused("info", tmp_path / "ix", code=1) == (
        "the working folder is not there any more; change to another one"
    )
