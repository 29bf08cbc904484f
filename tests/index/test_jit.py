from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.index.kernels import cache, compiler, dtypes, jit

PROGRAM = """
import numpy as np
from splade_engine.index.kernels.build import count_terms
counts = np.zeros(3, np.int64)
terms = np.array([2, 0, 2], np.int32)
terms.flags.writeable = False
count_terms(terms=terms, counts=counts)
assert counts.tolist() == [1, 0, 2]
"""


def start(cache: Path | str, program: str = PROGRAM) -> subprocess.Popen[str]:
    environment = os.environ | {"SPLADE_ENGINE_CACHE": str(cache)}
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def test_processes_that_start_cold_at_once_share_one_cache(tmp_path):
    for process in [start(tmp_path) for _ in range(4)]:
        finish(process)
    (folder,) = tmp_path.iterdir()
    assert folder.name == f"kernels-{cache.cache_key()}"
    assert len(list(folder.glob("*.nbc"))) == 1
    assert not list(folder.glob("*.tmp*"))
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_damaged_cache_means_compiling_again(tmp_path):
    finish(start(tmp_path))
    (code,) = tmp_path.glob("*/*.nbc")
    good = code.read_bytes()
    code.write_bytes(good[: len(good) // 2])
    assert "kernel cache unreadable" in finish(start(tmp_path, LOGGED))
    assert "kernel cache unreadable" not in finish(start(tmp_path, LOGGED))


LOGGED = "import logging; logging.basicConfig(level=logging.INFO)" + PROGRAM


def test_where_no_cache_can_be_kept_kernels_are_compiled_in_memory(tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert "compiled in memory" in finish(start(tmp_path / "file", LOGGED))


IMPATIENT = "from splade_engine.index.kernels import cache; cache.PATIENCE = 0.5\n" + LOGGED
HOLDER = """
import sys, time
from pathlib import Path
from splade_engine.locks import take_lock
lock = take_lock(Path(sys.argv[1]) / "lock")
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process is stopped on this system")
def test_a_stopped_process_that_holds_the_lock_stops_nobody(tmp_path):
    folder = tmp_path / f"kernels-{cache.cache_key()}"
    folder.mkdir(mode=0o700)
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            holder.send_signal(signal.SIGSTOP)
            errors = finish(start(tmp_path, IMPATIENT))
            told = f"{holder.pid} (which is stopped)" if Path("/proc").is_dir() else str(holder.pid)
            assert f"locked by process {told}; kernels are compiled in memory" in errors
            assert not list(folder.glob("*.nbc")), "only the holder of the lock writes"
        finally:
            holder.kill()
    assert "compiled in memory" not in finish(start(tmp_path, IMPATIENT))
    assert len(list(folder.glob("*.nbc"))) == 1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            assert "locked by" not in finish(start(tmp_path, IMPATIENT)), "what is compiled waits for nobody"
        finally:
            holder.kill()


def test_a_cache_without_locks_is_read_and_not_written(tmp_path):
    unlockable = """
import fcntl
def flock(*_):
    raise OSError(37, "No locks available")
"""
    program = "fcntl.flock = flock\n" + LOGGED
    assert "has no locks" in finish(start(tmp_path, unlockable + program))
    assert not list(tmp_path.glob("*/*.nbc"))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no file owners on this system")
def test_a_cache_that_others_may_write_is_not_used(tmp_path):
    folder = tmp_path / f"kernels-{cache.cache_key()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert "can be written by others" in finish(start(tmp_path, LOGGED))
    assert not list(folder.iterdir())


def test_annotations_become_signatures():
    read, written, table = (dtypes.choices(hint)[0] for hint in (dtypes.u2_r, dtypes.u2_w, dtypes.f4_2d_w))
    assert (read.mutable, written.mutable, table.ndim) == (False, True, 2)
    assert [str(choice) for choice in dtypes.choices(dtypes.i8)] == ["int64"]
    assert len(dtypes.choices(dtypes.u1_r | dtypes.u2_r)) == 2


def test_a_kernel_compiles_the_variant_that_it_meets():
    @jit.kernel
    def double(values: dtypes.f4_r | dtypes.f8_r, out: dtypes.f4_w | dtypes.f8_w) -> None:
        for i in range(len(values)):
            out[i] = 2 * values[i]

    out = np.zeros(2)
    double(values=np.array([1.0, 2.0]), out=out)
    assert out.tolist() == [2.0, 4.0]
    assert len(double._variants) == 1


def test_settings_with_which_numba_cannot_be_loaded_are_named(monkeypatch):
    def refusing(name):
        raise ValueError("Number of threads specified must be > 0.")

    monkeypatch.setattr(compiler.importlib, "import_module", refusing)
    for name in compiler.settings():
        monkeypatch.delenv(name)
    with pytest.raises(InvalidInputError, match=r"must be > 0\. \(look at \.numba_config\.yaml\)"):
        compiler.load()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "0")
    with pytest.raises(InvalidInputError, match=r"must be > 0\. \(its settings are NUMBA_NUM_THREADS='0'\)"):
        compiler.load()


def test_settings_that_numba_passes_over_are_told_in_a_line(monkeypatch, caplog):
    message = "Environment variable 'NUMBA_OPT' could not be parsed.\nTraceback (most recent call last):\n x"

    def warning(name):
        warnings.warn(message, RuntimeWarning, stacklevel=1)
        warnings.warn("another", UserWarning, stacklevel=1)

    monkeypatch.setattr(compiler.importlib, "import_module", warning)
    with pytest.warns(UserWarning, match="another") as others:
        compiler.load()
    assert len(others) == 1
    assert caplog.messages == ["Environment variable 'NUMBA_OPT' could not be parsed."]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_waits_for_a_thread_that_compiles():
    """Otherwise the lock would be held in the child for ever, by a thread that is not in it."""
    begun, done = threading.Event(), threading.Event()

    def compiling():
        with jit._COMPILE:
            begun.set()
            done.wait(5)

    thread = threading.Thread(target=compiling)
    thread.start()
    begun.wait()
    threading.Timer(0.1, done.set).start()
    with warnings.catch_warnings():  # newer Pythons warn of a fork beside threads
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(0 if jit._COMPILE.acquire(timeout=3) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
