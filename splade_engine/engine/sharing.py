"""A whole index on the Hugging Face Hub: its files as they lie in the folder, its encoder, a card."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.arguments import flag
from splade_engine.errors import IndexLockedError, InvalidInputError
from splade_engine.files import disk_errors
from splade_engine.hub import LIBRARY, HubName, hub_name, upload
from splade_engine.index import SparseIndex
from splade_engine.index.disk.own_encoder import ENCODER
from splade_engine.index.disk.publish import KINDS, MANIFEST, read_manifest
from splade_engine.scratch import Scratch

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.engine.engine import SearchEngine

_SEGMENTS = tuple(f"*.{kind}" for kind in KINDS)
INDEX_FILES = (MANIFEST, *_SEGMENTS, f"{ENCODER}/*", "README.md")
_ATTEMPTS = 5

_CARD = """---
library_name: {library}
tags:
- splade-engine
- splade-index
- learned-sparse-retrieval
{base}---
# {title}

A search index of {documents:,} documents: learned sparse vectors, {with_}the documents themselves.

| | |
|---|---|
| documents | {documents:,} |
| terms a document | {terms:.0f} |
| size | {size:,.1f} MB |
| encoder | {encoder} |

## Usage

```python
from splade_engine import SearchEngine

engine = SearchEngine.open("hf://{repo}")
for hit in engine.search("..."):
    print(hit.score, hit.id, hit.title)
```

`splade-engine pull hf://{repo} FOLDER` takes a copy that can be changed.
"""


def push_index(
    engine: SearchEngine, repo: str, *, private: bool | None = None, message: str | None = None
) -> str:
    """See `SearchEngine.push_to_hub`."""
    name = hub_name(repo)
    if private is not None:
        flag("private", private)
    if not isinstance(engine.index, SparseIndex) or not (engine.path / MANIFEST).is_file():
        raise InvalidInputError(
            f"{engine.path}: a collection of indexes; `splade-engine merge` makes one of them"
        )
    with Scratch("push") as home:
        folder = home / "index"
        with disk_errors(folder):
            _stage(engine.path, folder)
        if _is_a_folder(engine.encoder):
            from splade_engine.encoder.sharing import save_whole

            save_whole(engine.encoder, folder / ENCODER, alike=True)
        card = _card(SparseIndex.open(folder), engine.encoder, name)  # which checks every byte
        replaced = (*_SEGMENTS, f"{ENCODER}/*")
        return upload(folder, name, card=card, replaced=replaced, private=private, message=message)


def _stage(index: Path, folder: Path) -> None:
    """One generation of an index in a folder of its own; nothing is copied where files can have two names.

    Raises:
        IndexLockedError: the index changes too quickly.
    """
    for _ in range(_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        manifest, data = read_manifest(index)
        try:
            for name in sorted(manifest.file_names()):
                try:
                    os.link(index / name, folder / name)
                except FileNotFoundError:
                    raise
                except OSError:  # another file system, or one without such links
                    shutil.copyfile(index / name, folder / name)
        except FileNotFoundError:  # a newer generation was published meanwhile
            continue
        (folder / MANIFEST).write_bytes(data)
        return
    raise IndexLockedError(f"{index}: was changed again and again while it was to be shared")


def _is_a_folder(encoder: SparseEncoder) -> bool:
    """Whether nobody else could load the encoder by its name."""
    return encoder.source is not None and Path(encoder.source).is_dir()


def _card(index: SparseIndex, encoder: SparseEncoder, name: HubName) -> str:
    info = index.info()
    hub_id = encoder.source if encoder.source is not None and not _is_a_folder(encoder) else None
    return _CARD.format(
        library=LIBRARY,
        base=f"base_model: {hub_id}\n" if hub_id else "",
        title=name.repo.partition("/")[2],
        repo=name.repo,
        documents=len(index),
        terms=info.terms_per_doc,
        size=info.total_bytes / 1e6,
        encoder=hub_id or f"`{ENCODER}/` in this repository"
        if encoder.source
        else "comes with splade-engine",
        with_="lists of the words as they are written, and " if index.reader.has_words else "and ",
    )
