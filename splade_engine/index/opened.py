"""`OpenedIndex`: what can be asked of a generation of an index that is open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.arguments import checked_ordinals
from splade_engine.index.info import IndexInfo, look
from splade_engine.index.segment.segment import Verify
from splade_engine.index.snapshot import Snapshot
from splade_engine.vectors import SparseVectors


class OpenedIndex:
    """Documents, ids, stored rows by ordinal: the half of `SparseIndex` that neither searches nor changes."""

    def __init__(self, path: Path, snapshot: Snapshot, verify: Verify) -> None:
        self.path = path
        self._snapshot = snapshot
        self._verify = verify

    def __len__(self) -> int:
        return self._snapshot.manifest.live

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self._snapshot.manifest.n_terms

    @property
    def encoder(self) -> Mapping[str, str | int] | None:
        """Fingerprint of the encoder of the vectors, as given to `build`."""
        return self._snapshot.manifest.encoder

    @property
    def generation(self) -> int:
        """Number of the generation that is open; every change adds 1."""
        return self._snapshot.manifest.generation

    def ids(self, ordinals: ArrayLike | None = None) -> list[str]:
        """The ids of these ordinals; without any, those of all live documents in order."""
        snapshot = self._snapshot
        return snapshot.ids(snapshot.live_ordinals() if ordinals is None else checked_ordinals(ordinals))

    def ordinal(self, id: str) -> int:
        """The ordinal of the live document with this id.

        Raises:
            InvalidInputError: if there is none.
        """
        found = int(self._snapshot.find([id])[0])
        if found < 0:
            raise InvalidInputError(f"{self.path}: no document with id {id!r}")
        return found

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and bool(id) and len(id) <= 4096 and int(self._snapshot.find([id])[0]) >= 0

    def vectors(self, ordinals: ArrayLike | None = None) -> SparseVectors:
        """The stored vectors of these documents (of all live ones), in this order."""
        snapshot = self._snapshot
        return snapshot.vectors(snapshot.live_ordinals() if ordinals is None else checked_ordinals(ordinals))

    def document_frequencies(self) -> NDArray[np.int64]:
        """int64[n_terms]: how many live documents hold each term."""
        return self._snapshot.document_frequencies()

    def payload(self, ordinals: ArrayLike) -> list[dict[str, Any]]:
        """The stored row of each of these documents; {} where the index has no payload."""
        return self._snapshot.gather(
            checked_ordinals(ordinals),
            lambda segment, local: (
                [{}] * len(local) if segment.payload is None else segment.payload.rows(local)
            ),
        )

    def info(self) -> IndexInfo:
        """What the index holds, from the manifest alone."""
        return look(self.path, self._snapshot)

    def __copy__(self) -> Self:
        """The same opened generation, which stays when the original moves on. Costs nothing: nothing is
        opened or read again (`copy` would otherwise ask `__reduce__`, and that took 235 ms a search).
        """
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {len(self)} documents, {self.n_terms} terms)"
