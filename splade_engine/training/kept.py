"""What a run derives and keeps for when it is resumed: copies, heads, vectors, negatives.

Beside each lies a mark with the digest of its bytes and of what it was made from. A file that is damaged, or
was made from something else, is never taken: it is made again where that is possible.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from splade_engine.errors import SpladeEngineError
from splade_engine.files import digest_of_file, digest_of_json, read_json, write_json

logger = logging.getLogger(__name__)


def keep(path: Path, made_from: object) -> None:
    """Note what a file or folder, which is written, holds.

    Args:
        path: of the file or folder; the mark is `<name>.made` beside it.
        made_from: JSON that names what it was made from.
    """
    write_json(_mark(path), {"made_from": digest_of_json(made_from), "holds": _digest(path)})


def kept(path: Path, made_from: object) -> bool:
    """Whether it is there, whole, and made from this; otherwise a folder is removed.

    Args:
        path: as for `keep`.
        made_from: likewise.
    """
    if not path.exists():
        return False
    # a mark is written last: without one, a kill came between
    if _mark(path).is_file():
        try:
            mark: Any = read_json(_mark(path))
        except SpladeEngineError:
            mark = None
        if mark == {"made_from": digest_of_json(made_from), "holds": _digest(path)}:
            return True
        logger.warning("%s: damaged, or made for something else; it is not used", path)
    if path.is_dir():
        shutil.rmtree(path)
    return False


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.made")


def _digest(path: Path) -> str:
    if not path.is_dir():
        return digest_of_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest_of_json({file.relative_to(path).as_posix(): digest_of_file(file) for file in files})
