"""Digests of what is read, so that what was derived from it can be told from what would be derived now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from splade_engine.encoder.dense import DENSE_FILES, model_files
from splade_engine.files import digest_of_file, digest_of_json

_OF_A_MODEL = (*DENSE_FILES, ".tiktoken")  # suffixes of what any kind of model loads


def digests_of_models(names: Iterable[str]) -> dict[str, str]:
    """For each model folder or hub id the digest of the files that can decide what it computes.

    Empty names are passed over.

    Raises:
        CheckpointError: if a model is not there.
    """
    from splade_engine.encoder.folders import hub

    out = {}
    for name in dict.fromkeys(names):
        if not name:
            continue
        folder = hub.resolve(name)[0]
        files = model_files(folder, _OF_A_MODEL)
        out[name] = digest_of_json({str(path.relative_to(folder)): digest_of_file(path) for path in files})
    return out


def changed(begun: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Which of the named digests differ, in a few words; None if all agree."""
    names = [name for name in begun if now.get(name) != begun[name]]
    names += [name for name in now if name not in begun]
    if not names:
        return None
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
