"""Odd environments: no home, an unknown user, few descriptors, little memory, folders to look at only."""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FAKE = str(Path(__file__).parents[1] / "fake_encoder.py")
DRIVER = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("fake_encoder", {FAKE!r})
fake = importlib.util.module_from_spec(spec); spec.loader.exec_module(fake)
from splade_engine.encoder import SparseEncoder
encoder = fake.FakeEncoder()
SparseEncoder.load = staticmethod(lambda source=None, **options: encoder)
from splade_engine.cli import main
"""
NOBODY = 54321  # a user id without an entry


def become_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@functools.cache
def python_of_nobody():
    """An interpreter that every user may run with what is installed here, None where there is none."""
    if os.name != "posix" or os.getuid() != 0:  # only root may become another user
        return None
    name = "python{}.{}".format(*sys.version_info)
    for python in (sys.executable, shutil.which(name, path="/usr/local/bin:/usr/bin")):
        test = [python, "-c", "import numpy, typer, splade_engine.cli.commands"]
        try:
            subprocess.run(
                test, env=paths(), cwd="/", preexec_fn=become_nobody, check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError, TypeError):
            continue
        return python
    return None


def paths(**more):
    """The environment, with everything that can be imported here; a variable that is None is not set."""
    found = [
        path for path in (str(Path(FAKE).parents[1]), *sys.path) if "site-packages" in path or "." not in path
    ]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(found)} | more
    return {name: value for name, value in variables.items() if value is not None}


def run(*arguments, code="", limits=(), cwd=None, **environment):
    """A command in a process with other limits or variables."""

    def prepare():
        for kind, most in limits:
            resource.setrlimit(kind, (most, most))

    command = [sys.executable, "-W", "error", "-c", f"{DRIVER}\n{code}\nmain()", *map(str, arguments)]
    variables = {name: value for name, value in (os.environ | environment).items() if value is not None}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, env=variables, preexec_fn=prepare
    )


@pytest.fixture
def as_nobody():
    """Run a command as a user without an entry, without a home and without rights."""
    if (python := python_of_nobody()) is None:
        pytest.skip("needs root, and an interpreter that every user may run")

    def run(*arguments, code=""):
        names = ("HOME", "SPLADE_ENGINE_CACHE", "SPLADE_ENGINE_HOME", "XDG_CACHE_HOME", "USER", "LOGNAME")
        command = [python, "-W", "error", "-c", f"{DRIVER}\n{code}\nmain()", *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            env=paths(**dict.fromkeys(names)),
            cwd="/",
            preexec_fn=become_nobody,
        )

    return run


@pytest.fixture
def open_folder(index_folder, corpus_file):
    """A folder that every user may enter and write, with an index that they may only read."""
    with tempfile.TemporaryDirectory(prefix="splade-engine-test-") as name:
        folder = Path(name)
        shutil.copytree(index_folder, folder / "ix")
        shutil.copy(corpus_file, folder / "c.jsonl")
        folder.chmod(0o777)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


def line(result, code=2):
    """The one line of a refusal."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
    return result.stderr.removeprefix("splade-engine: ").rstrip("\n")


@pytest.mark.parametrize("home", [None, "/nonexistent", "relative", ""])
def test_no_home(open_folder, home, tmp_path):
    # a relative home lies below the working folder, which must not be the checkout
    package = {"PYTHONPATH": str(Path.cwd()), "HOME": home, "SPLADE_ENGINE_CACHE": None}
    result = run("search", open_folder / "ix", "sea", "--json", cwd=tmp_path, **package)
    assert json.loads(result.stdout)["hits"], result.stderr


def test_a_user_that_nobody_knows_may_search(open_folder, as_nobody):
    result = as_nobody("search", open_folder / "ix", "sea", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["hits"]
    assert as_nobody("check", open_folder / "ix").returncode == 0
    assert as_nobody("index", open_folder / "c.jsonl", "-o", open_folder / "new").returncode == 0
    message = line(as_nobody("index", "~/corpus.jsonl", "-o", open_folder / "newer"))
    assert message.startswith("~/corpus.jsonl: ")


def test_a_home_folder_behind_an_option(cli, corpus_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cli("index", "~/corpus.jsonl", "--output=~/ix")  # a shell leaves the second as it is
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.jsonl", "ix"]


NOT_ENCODED = "encoder.encode_documents = lambda texts, **options: os._exit(77)"


def test_an_index_that_may_only_be_read_is_refused_before_anything_is_encoded(open_folder, as_nobody):
    index, corpus = open_folder / "ix", open_folder / "c.jsonl"
    for arguments in (["add", index, corpus, "--replace"], ["index", corpus, "-o", index, "--overwrite"]):
        message = line(as_nobody("-q", *arguments, code=NOT_ENCODED))
        assert "may not write" in message
        assert str(index) in message
    for command, *rest in (["delete", "bread"], ["compact"], ["tune"]):
        message = line(as_nobody("-q", command, index, *rest))
        assert "may not write" in message or "Permission denied" in message
        assert str(index) in message


def test_a_target_that_may_not_be_made_is_refused_before_anything_is_encoded(open_folder, as_nobody):
    open_folder.chmod(0o755)
    for command, name in (("index", "new"), ("encode", "v.arrow"), ("encode", "v.jsonl.gz")):
        target = open_folder / name
        message = line(as_nobody("-q", command, open_folder / "c.jsonl", "-o", target, code=NOT_ENCODED))
        assert "Permission denied" in message
        assert str(target) in message
    message = line(as_nobody("-q", "export", open_folder / "ix", open_folder / "v.arrow"))
    assert "Permission denied" in message
    assert str(open_folder / "v.arrow") in message


def test_few_descriptors(open_folder, corpus_file, tmp_path):
    limits = [(resource.RLIMIT_NOFILE, 16)]
    assert run("search", open_folder / "ix", "sea", limits=limits).returncode == 0
    assert run("index", corpus_file, "-o", tmp_path / "new", limits=limits).returncode == 0


@pytest.mark.parametrize("error", ["MemoryError", "SystemError"])
def test_no_memory_even_for_the_message(error, open_folder):
    code = f"""
import splade_engine.cli.commands as commands
def lost():
    raise {error}
commands.app = lost
"""
    assert line(run("search", open_folder / "ix", "sea", code=code), code=1) == "out of memory"


@pytest.mark.usefixtures("children_untraced")
@pytest.mark.parametrize("megabytes", [150, 300, 500])
def test_a_small_address_space(open_folder, megabytes):
    result = run("search", open_folder / "ix", "sea", limits=[(resource.RLIMIT_AS, megabytes << 20)])
    if result.returncode:  # less than the libraries need
        assert line(result, code=1).startswith("out of memory")
