"""What a light installation and another operating system can do, tried with everything else out of reach."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from splade_engine import SearchEngine

HEAVY = (
    "torch transformers scipy faiss bm25s Stemmer ir_measures ir_datasets accelerate matplotlib jinja2 "
    "sentence_transformers pandas sklearn peft"
)
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}.split():
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def run(code: str, blocked: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that cannot import some packages."""
    command = [sys.executable, "-c", BLOCK.format(blocked=blocked) + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    """Three notes under the bundled encoder."""
    folder = tmp_path_factory.mktemp("light") / "ix"
    notes = [
        {"id": "moon", "text": "The gravity of the moon pulls the sea, twice a day.", "year": 1998},
        {"id": "bread", "text": "Yeast turns sugar into gas, and the dough rises.", "year": 2015},
        {"id": "battery", "text": "Lithium ions move between two electrodes.", "year": 2019},
    ]
    SearchEngine.build(folder, notes)
    return folder


def test_an_index_is_searched_explained_filtered_and_changed_without_the_heavy_packages(index):
    code = """
from splade_engine import SearchEngine
engine = SearchEngine.open(sys.argv[1])
hit = engine.search("lunar pull on the ocean", k=1)[0]
assert hit.id == "moon" and hit.text.startswith("The gravity"), hit
assert any(match.is_expansion for match in hit.explain().matches)
assert engine.search("moon", where="year > 2000", exact=True) == []
engine.index.tune(engine.encode_queries(["moon", "bread"]), k=1)
engine.delete(["battery"])
engine.compact()
assert len(engine) == 2
assert not {m.partition(".")[0] for m in sys.modules} & set(%r.split())
"""
    run(code % HEAVY, HEAVY, index)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (
            "SparseEncoder.load().encode_documents(['moon'])",
            "encoding with a model needs torch",
        ),
        (
            "SparseEncoder.load().encode_queries(['moon']).to_scipy()",
            "to_scipy needs scipy",
        ),
        (
            "SparseEncoder.load().encode_queries(['moon']).to_torch()",
            "to_torch needs torch",
        ),
    ],
)
def test_what_needs_one_of_them_says_how_to_install_it(code, what):
    script = f"""
from splade_engine import SparseEncoder
from splade_engine.errors import MissingExtraError
try:
    {code}
except MissingExtraError as error:
    print(error)
"""
    assert run(script, HEAVY).stdout.startswith(f"{what}: pip install ")


def test_commands_say_how_to_install_what_they_need(index, tmp_path):
    (tmp_path / "more.jsonl").write_text('{"id": "new", "text": "new words"}\n')
    script = "from splade_engine.cli import main\nmain()"
    found = run(script, HEAVY, "search", index, "lunar")
    assert "moon" in found.stdout
    for command in (["add", index, tmp_path / "more.jsonl"], ["eval", tmp_path / "more.jsonl"]):
        refused = run(script, HEAVY, *command, check=False)
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1, refused.stderr


# ---- other operating systems ----------------------------------------------------------------------------

POSIX_MODULES = "fcntl resource pwd grp termios tty"
POSIX_OS = (
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK chown fchmod fchown fork geteuid getgid getuid getpgid "
    "killpg mkfifo posix_fadvise posix_fallocate pread pwrite sched_getaffinity sched_setaffinity setsid "
    "statvfs sysconf uname"
)
# only our own modules see the other system: what is not ours knows its platforms itself
POSIX_IS_GONE = f"""
import builtins, os, signal, sys, types
def without(module, names):
    other = types.ModuleType(module.__name__)
    other.__dict__.update({{k: v for k, v in vars(module).items() if k not in names.split()}})
    return other
OTHERS = {{
    "os": without(os, {POSIX_OS!r}),
    "signal": without(signal, "SIGKILL SIGHUP SIGALRM setitimer alarm pthread_kill pthread_sigmask"),
}}
OTHERS["os"].name = "nt"
real = builtins.__import__
def imported(name, globals=None, *rest, **more):
    if globals is not None and globals.get("__name__", "").partition(".")[0] == "splade_engine":
        if name in {POSIX_MODULES!r}.split():
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        if name in OTHERS:
            return OTHERS[name]
    return real(name, globals, *rest, **more)
builtins.__import__ = imported
"""


def without_posix(code: str, *arguments: object) -> None:
    """Run code in an interpreter without the modules and functions that only POSIX systems have."""
    run(POSIX_IS_GONE + code, "", *arguments)


def test_our_modules_do_not_see_what_only_posix_has():
    code = """
from splade_engine.index.disk import storage
assert not hasattr(storage.os, "O_DIRECTORY") and hasattr(os, "O_DIRECTORY")
module = types.ModuleType("splade_engine.some")
try:
    exec("import fcntl", vars(module))
except ModuleNotFoundError:
    print("gone")
"""
    without_posix(code)


def test_an_index_is_built_searched_and_changed_without_what_only_posix_has(tmp_path):
    code = """
import logging
import numpy as np
from splade_engine import SearchEngine, SparseIndex, SparseVectors
rng = np.random.default_rng(0)
dense = np.where(rng.random((500, 90)) < 0.1, rng.random((500, 90)), 0).astype(np.float32)
indptr = np.concatenate(([0], np.cumsum((dense > 0).sum(1))))
vectors = SparseVectors(indptr, np.nonzero(dense)[1], dense[dense > 0], 90)
index = SparseIndex.build(sys.argv[1], vectors)
found = index.search(vectors[:20], k=3, exact=True)
best = np.argsort(-(dense[:20] @ dense.T), axis=1, kind="stable")[:, 0]
assert found.ordinals[:, 0].tolist() == best.tolist()
index.add(vectors[:5], ["a", "b", "c", "d", "e"])
index.delete(["a", "17"])
index.compact()
assert len(SparseIndex.open(sys.argv[1])) == 503
"""
    without_posix(code, tmp_path / "ix")


def test_text_is_searched_and_files_are_written_without_what_only_posix_has(index, tmp_path):
    code = """
from splade_engine import SearchEngine
from splade_engine.vectors import read_vectors, write_vectors
engine = SearchEngine.open(sys.argv[1])
vectors = engine.encode_queries(["bread", "lunar"])
assert [hit.id for hit in engine.search("lunar", k=1)] == ["moon"]
write_vectors(sys.argv[2], vectors)
assert read_vectors(sys.argv[2]).vectors == vectors
"""
    without_posix(code, index, tmp_path / "v.arrow")


def test_every_module_is_imported_without_what_only_posix_has():
    code = """
import importlib, pkgutil, warnings
import splade_engine
for module in pkgutil.walk_packages(splade_engine.__path__, "splade_engine."):
    # adapters need their frameworks, which are extras
    if not module.name.endswith("__main__") and ".integrations." not in module.name:
        importlib.import_module(module.name)
"""
    without_posix(code)
