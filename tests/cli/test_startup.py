"""The command line as a process: what it loads, how fast it answers, what it does with signals and pipes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from splade_engine import __version__
from splade_engine.cli.commands import COMMANDS

HEAVY = ("torch", "transformers", "numba", "pyarrow", "scipy", "pandas", "rich", "numpy")
INTERRUPTED = "splade-engine: interrupted; the same command goes on from there\n"
FAKE = str(Path(__file__).parents[1] / "fake_encoder.py")
DRIVER = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("fake_encoder", {FAKE!r})
fake = importlib.util.module_from_spec(spec); spec.loader.exec_module(fake)
from splade_engine.encoder import SparseEncoder
encoder = fake.FakeEncoder()
SparseEncoder.load = staticmethod(lambda source=None, **options: encoder)
from splade_engine.cli import main
"""


def process(*args, code="", **options):
    script = f"{DRIVER if code else 'from splade_engine.cli import main'}\n{code}\nmain()"
    command = [sys.executable, "-W", "error", "-c", script, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_help_loads_nothing_heavy_and_is_quick():
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    command = [sys.executable, "-c", f"{report}\nfrom splade_engine.cli import main\nmain()", "--help"]
    bare, seconds = [sys.executable, "-c", "import typer"], {}
    for _ in range(5):
        for what in (bare, command):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            result = subprocess.run(what, capture_output=True, text=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            seconds.setdefault(what is command, []).append(used)
    assert not {name.split(".")[0] for name in result.stderr.split()} & set(HEAVY)
    assert all(command.name in result.stdout for command in COMMANDS)
    # of processor time, so that a busy machine does not count, and beside typer's own on this processor
    assert min(seconds[True]) < 1.6 * min(seconds[False])


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_of_each_command_loads_nothing_heavy(name):
    script = (
        "import sys\nfrom splade_engine.cli import app\n"
        "try: app()\nexcept SystemExit as e: assert not e.code\n"
        f"sys.exit(' '.join(sorted(set(sys.modules) & {set(HEAVY) - {'numpy'}!r})))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, name, "--help"], capture_output=True, text=True, timeout=60
    )
    assert result.stderr.strip() == ""
    assert "Usage: " in result.stdout
    assert "xample" in result.stdout


def test_version(cli):
    assert cli("--version").stdout == f"splade-engine {__version__}\n"


def test_every_command_of_the_table_exists_and_unknown_ones_are_suggested(cli):
    for command in COMMANDS:
        assert "Usage" in cli(command.name, "-h").stdout
    assert "Did you mean 'search'" in cli("serch", code=2).stderr


def test_a_closed_pipe_ends_quietly(index_folder):
    script = f"{DRIVER}\nmain()"
    command = [
        sys.executable,
        "-c",
        script,
        "search",
        str(index_folder),
        "sea wind moon",
        "--explain",
        "--full",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        stderr = running.stderr.read().decode()
        assert running.wait() == 128 + signal.SIGPIPE
    assert "Traceback" not in stderr
    assert "BrokenPipe" not in stderr


def test_ctrl_c_ends_with_130_and_one_line(corpus_file, tmp_path):
    code = "encoder.fail_after = 0"
    result = process("index", corpus_file, "-o", tmp_path / "ix", code=code)
    assert result.returncode == 130
    assert result.stderr == INTERRUPTED
    assert not (tmp_path / "ix").exists()


def test_sigint_while_encoding(corpus_file, tmp_path):
    code = (
        "import os, signal\n"
        # shells start background jobs with SIGINT ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "encoder.encode_documents = lambda texts, **o: os.kill(os.getpid(), signal.SIGINT) or time.sleep(9)\n"
        "import time"
    )
    result = process("index", corpus_file, "-o", tmp_path / "ix", code=code)
    assert (result.returncode, result.stderr) == (130, INTERRUPTED)


def test_search_imports_neither_torch_nor_transformers(index_folder):
    code = "import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    result = process("search", index_folder, "sea", "--json", code=code)
    assert json.loads(result.stdout)["hits"]
    assert not {"torch", "transformers"} & set(result.stderr.split())


def test_python_m_is_the_same_program():
    command = [sys.executable, "-W", "error", "-m", "splade_engine"]
    result = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, f"splade-engine {__version__}\n")
    result = subprocess.run([*command, "info", "no-index"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith("splade-engine: no-index: ")


@pytest.mark.parametrize(
    ("words", "offered"),
    [("splade-engine sea", ["search"]), ("splade-engine search ix sea --ex", ["--exact", "--explain"])],
)
def test_a_shell_completes_commands_and_options(words, offered):
    environment = {
        "_SPLADE_ENGINE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    script = "from splade_engine.cli import app; app(prog_name='splade-engine')"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)
    assert (result.returncode, result.stdout.split()) == (0, offered)
