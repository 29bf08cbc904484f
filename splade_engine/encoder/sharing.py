"""An encoder on the Hugging Face Hub: its folder, with a card."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.arguments import flag
from splade_engine.encoder.folders.files import copy_model
from splade_engine.encoder.folders.hub import PATTERNS
from splade_engine.encoder.neighbours import SETTINGS, VECTORS
from splade_engine.encoder.refusing import refusing
from splade_engine.errors import CheckpointError
from splade_engine.files import read_text
from splade_engine.hub import LIBRARY, HubName, hub_name, upload
from splade_engine.scratch import Scratch
from splade_engine.vectors.encoder_record import describe_difference, same_encoder

if TYPE_CHECKING:
    from splade_engine.encoder.encoder import SparseEncoder

_GIVEN = ("max_length", "long_texts")  # what `SparseEncoder.load` takes in place of what a folder says
_TAGS = ("splade-engine", "learned-sparse-retrieval")
_USAGE = """
## Usage

```python
from splade_engine import SparseEncoder

encoder = SparseEncoder.load("hf://{repo}")
vectors = encoder.encode_documents(["a text"])
```
"""


def push_encoder(
    encoder: SparseEncoder, repo: str, *, private: bool | None = None, message: str | None = None
) -> str:
    """See `SparseEncoder.push_to_hub`."""
    name = hub_name(repo)
    if private is not None:
        flag("private", private)
    with Scratch("push") as home:
        folder = home / "encoder"
        save_whole(encoder, folder)
        card = ""
        if (folder / "README.md").is_file():
            with refusing(encoder.checkpoint.folder / "README.md", "its metadata cannot be read"):
                card = _card(read_text(folder / "README.md"), name)
        return upload(folder, name, card=card, replaced=PATTERNS, private=private, message=message)


def loaded_alike(folder: Path, encoder: SparseEncoder) -> SparseEncoder:
    """The encoder of a folder, with the `max_length` and `long_texts` that another one was loaded with.

    An index remembers both, and loads its encoder so.
    """
    from splade_engine.encoder.encoder import SparseEncoder

    settings = encoder.checkpoint.settings
    return SparseEncoder.load(folder, max_length=settings.max_length, long_texts=settings.long_texts)


def save_whole(encoder: SparseEncoder, folder: Path, *, alike: bool = False) -> None:
    """Make a folder that is the same encoder: a copy of its own, or what `save` writes.

    Args:
        encoder: what is saved.
        folder: must not exist, or be empty.
        alike: it is loaded by `loaded_alike`, and need not say itself what the encoder was loaded with.

    Raises:
        CheckpointError: neither is, naming what differs.
    """
    from splade_engine.encoder.encoder import SparseEncoder

    def loaded() -> SparseEncoder:
        return loaded_alike(folder, encoder) if alike else SparseEncoder.load(folder)

    record, hint = encoder.fingerprint(), ""
    source = encoder.checkpoint.folder
    without = (SETTINGS, VECTORS) if encoder.checkpoint.neighbours is None else ()
    copy_model(source, folder, PATTERNS, without)
    with suppress(CheckpointError):  # its query side may lie elsewhere
        copied = loaded().fingerprint()
        if same_encoder(record, copied):
            return
        given = [n for n in _GIVEN if copied[n] != record[n]]
        hint = f": it was loaded with another {given[0]} than its folder has" if given else ""
    shutil.rmtree(folder)
    encoder.save(folder)
    saved = loaded().fingerprint()
    if not same_encoder(record, saved):
        raise CheckpointError(
            f"{encoder.name}: no folder of its own would be the same encoder{hint} "
            f"({describe_difference(record, saved)})"
        )


def _card(text: str, name: HubName) -> str:
    """The card that the checkpoint has, with our tags and how to load it."""
    from huggingface_hub import ModelCard

    card = ModelCard(text.removeprefix("\ufeff"))
    data: Any = card.data
    data.library_name = data.library_name or LIBRARY
    data.tags = [*dict.fromkeys([*(data.tags or []), *_TAGS])]
    return str(card).rstrip() + "\n" + _USAGE.format(repo=name.repo)
