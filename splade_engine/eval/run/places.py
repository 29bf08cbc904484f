"""Where the files of a result lie in a result folder, and what a system is called there."""

from __future__ import annotations

import re
from pathlib import Path

from splade_engine.files import digest_64


# a name may hold dots: `with_suffix` would take them for a suffix
def result_file(base: Path) -> Path:
    """The file of a result; `base` is the folder of its collection with the `slug` of its system."""
    return base.with_name(base.name + ".json")


def run_file(base: Path) -> Path:
    """The file of its run."""
    return base.with_name(base.name + ".run.gz")


def terms_file(base: Path) -> Path:
    """The file of the terms that made its scores."""
    return base.with_name(base.name + ".terms.json")


def slug(name: str) -> str:
    """A file name for a system or dataset; names that had to be changed get a hash, so that two stay two."""
    safe = re.sub(r"[^A-Za-z0-9._=+-]+", "-", name).strip("-.")
    ours = safe.casefold() == "topics" or safe.casefold().endswith(".terms")  # names of other files there
    if name and safe == name and len(safe) <= 80 and not ours:
        return safe
    return f"{safe[:60]}-{f'{digest_64(name.encode()):016x}'[:6]}"
