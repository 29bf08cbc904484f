"""A process that ends right after it read vectors ends with 0, whatever Arrow's threads are doing.

A thread of Arrow's that lets go of a buffer of Python's takes the interpreter's lock. Where the interpreter
is ending, CPython ends that thread in the middle of a destructor, and C++ aborts the process: "terminate
called without an active exception". It takes milliseconds of bad luck. Here the thread is held back until its
luck is bad.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from splade_engine.vectors import SparseVectors
from splade_engine.vectors.files import write_vectors

CC = shutil.which("cc")
pytestmark = pytest.mark.skipif(
    CC is None or not sys.platform.startswith("linux"), reason="needs a C compiler, and LD_PRELOAD"
)

# what ~PyBuffer calls; where another thread than the first calls it from there, it waits for the end
HELD_BACK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
typedef int (*Function)(void);
int PyGILState_Ensure(void) {
  Function real = (Function)dlsym(RTLD_NEXT, "PyGILState_Ensure");
  Function ending = (Function)dlsym(RTLD_DEFAULT, "Py_IsFinalizing");
  Dl_info caller;
  if (!ending) ending = (Function)dlsym(RTLD_DEFAULT, "_Py_IsFinalizing");
  if (ending && syscall(SYS_gettid) != getpid() && dladdr(__builtin_return_address(0), &caller)
      && caller.dli_sname && strstr(caller.dli_sname, "PyBufferD"))
    for (int i = 0; i < 10000 && !ending(); i++) usleep(500);
  return real();
}
"""
OF_PYTHON = """
import sys
import pyarrow as pa
with open(sys.argv[1], "rb") as file:
    pa.ipc.open_file(file).read_all()
"""
OURS = """
import sys
from splade_engine.vectors import read_vectors
print(read_vectors(sys.argv[1]).vectors.nnz)
"""


@pytest.fixture(scope="module")
def unlucky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that holds Arrow's threads back."""
    folder = tmp_path_factory.mktemp("unlucky")
    (folder / "held.c").write_text(HELD_BACK)
    assert CC is not None
    command = [CC, "-shared", "-fPIC", "-o", folder / "held.so", folder / "held.c", "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder / "held.so"


def run(code: str, file: Path, unlucky: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, str(file)],
        env={**os.environ, "LD_PRELOAD": str(unlucky)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["v.arrow", "v.parquet"])
def test_a_process_that_read_vectors_ends_with_0(tmp_path: Path, unlucky: Path, name: str) -> None:
    vectors = SparseVectors.from_dicts([{0: 1.25, 2: 0.5}, {}, {4: 3.0}], 5)
    write_vectors(tmp_path / name, vectors, ["a", "b", "c"])
    done = run(OURS, tmp_path / name, unlucky)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_a_process_that_gave_arrow_a_file_of_pythons_would_not(tmp_path: Path, unlucky: Path) -> None:
    write_vectors(tmp_path / "v.arrow", SparseVectors.from_dicts([{0: 1.0}], 5), ["a"])
    done = run(OF_PYTHON, tmp_path / "v.arrow", unlucky)
    if done.returncode == 0:
        pytest.skip("this pyarrow lets go of its buffers in time")
    assert done.returncode < 0
