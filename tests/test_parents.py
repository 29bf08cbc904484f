"""A process that multiprocessing started ends with its parent, which was killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys

from splade_engine.parents import end_with_parent

PARENT = """
import multiprocessing, os, time
from functools import partial
from splade_engine.parents import end_with_parent

def child(connection):
    end_with_parent(partial(os._exit, 1))
    connection.send(os.getpid())
    time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=child, args=(theirs,)).start()
    print(ours.recv(), flush=True)
    time.sleep(600)
"""


def test_a_worker_ends_with_its_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, tmp_path / "parent.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
        try:
            assert parent.communicate(timeout=30) == ("", None)  # whose end is the child's, which has it too
        except subprocess.TimeoutExpired:
            os.kill(child, signal.SIGKILL)
            raise


def test_other_processes_have_nothing_to_watch():
    assert multiprocessing.parent_process() is None
    end_with_parent(lambda: os._exit(1))
