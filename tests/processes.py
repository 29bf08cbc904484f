"""Other processes that do something with a file and then wait, to be killed."""

from __future__ import annotations

import signal
import subprocess
import sys


def in_another_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    """It has said "ready" and waits."""
    head = "import sys, time\nfrom pathlib import Path\n"
    head += "from splade_engine.files import *\nfrom splade_engine.locks import *\n"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            head + code + "\nprint('ready', flush=True)\ntime.sleep(600)",
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()
