"""What numbers depend on beside the data: the versions of packages, and the machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from splade_engine import __version__

_PACKAGES = (
    *("numpy", "numba", "scipy", "torch", "transformers", "tokenizers", "bm25s"),
    *("ir-measures", "pytrec-eval-terrier", "ir-datasets", "faiss-cpu", "sentence-transformers"),
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on.

    Ours is always there: a checkout on the path, and the light distribution, have no metadata of that name.
    """
    found = {"python": platform.python_version(), "splade-engine": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """Processor, cores and system: what the times were measured on."""
    model = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
        model = re.search(r"^model name\s*:\s*(.+)$", text, re.M)[1]  # type: ignore[index]
    except (OSError, TypeError):
        pass
    return {"cpu": model, "cores": os.cpu_count() or 0, "system": f"{platform.system()} {platform.release()}"}


def same_machine(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether times of two machines can stand beside each other; an update of the system is no other one."""
    return all(a.get(name) == b.get(name) for name in ("cpu", "cores"))


def described(machine: Mapping[str, Any]) -> str:
    """A machine in a few words."""
    return f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('system')}"
