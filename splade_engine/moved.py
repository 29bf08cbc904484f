"""Where modules used to be: `import` of an old name gives the module at its new place, with a warning.

One table for the whole house. A row stays for one minor release after the move; CHANGELOG lists them.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "splade_engine.atomic_file": "splade_engine.files",
    "splade_engine.collection_idf": "splade_engine.engine.query_weights",
    "splade_engine.csr_checks": "splade_engine.vectors.checks",
    "splade_engine.encoder_record": "splade_engine.engine.encoder_record",
    "splade_engine.explain": "splade_engine.engine.explain",
    "splade_engine.hits": "splade_engine.engine.hits",
    "splade_engine.shards": "splade_engine.engine.encoding",
    "splade_engine.vector_files": "splade_engine.vectors.files",
}


class MovedModules(MetaPathFinder, Loader):
    """The last of the finders that `import` asks: it knows the old names only."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a name of the table, None for every other."""
        if fullname not in MOVED:
            return None
        # 2: the frame that has the import statement; the import machinery's own frames do not count
        warnings.warn(
            f"{fullname} is now {MOVED[fullname]}; the old name goes with the next minor release",
            DeprecationWarning,
            stacklevel=2,
        )
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Put the module at its new place under the old name too: one object, so that classes stay one."""
        sys.modules[module.__name__] = importlib.import_module(MOVED[module.__name__])


def install() -> None:
    """Append the finder to `sys.meta_path`, once."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
