"""A small address space: one thread for linear algebra, decided before numpy is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource", reason="Windows has no such limit")

CODE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
from splade_engine.cli import main
sys.argv = ["splade-engine", "--version"]
try:
    main()
finally:
    print(os.environ.get("OPENBLAS_NUM_THREADS"), "numpy" in sys.modules)
"""


def test_the_program_asks_for_one_thread_before_anything_is_imported():
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    shown = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == "1 False"


@pytest.mark.parametrize(
    ("limit", "given", "threads"),
    [(1 << 30, None, "1"), (1 << 30, "3", "3"), (8 << 30, None, None), (resource.RLIM_INFINITY, None, None)],
)
def test_a_number_that_is_given_stays_and_so_does_a_large_space(monkeypatch, limit, given, threads):
    from splade_engine.cli.address_space import one_thread_if_small

    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    else:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "gone")  # so that it is set back
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    one_thread_if_small()
    assert os.environ.get("OPENBLAS_NUM_THREADS") == threads
