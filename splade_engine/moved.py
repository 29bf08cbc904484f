"""Where modules used to be: `import` of an old name gives the module at its new place, with a warning.

One table for the whole house. A row stays for one minor release after the move; CHANGELOG lists them.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder

    class _Importer(MetaPathFinder, Loader):
        """What a finder is that also loads."""
else:
    # the abstract classes add nothing here, and importing them takes half the time until Ctrl-C is handled
    _Importer = object

MOVED = {
    "splade_engine.atomic_file": "splade_engine.files",
    "splade_engine.collection_idf": "splade_engine.engine.query_weights",
    "splade_engine.csr_checks": "splade_engine.vectors.checks",
    "splade_engine.documents": "splade_engine.collections",
    "splade_engine.encoder.autoencoder": "splade_engine.encoder.kinds.csr",
    "splade_engine.encoder.dense_head": "splade_engine.encoder.fast.dense_head",
    "splade_engine.encoder.echo": "splade_engine.encoder.kinds.echo",
    "splade_engine.encoder.folder": "splade_engine.files",
    "splade_engine.encoder.hub": "splade_engine.encoder.folders.hub",
    "splade_engine.encoder.linear": "splade_engine.encoder.fast.linear",
    "splade_engine.encoder.model_files": "splade_engine.encoder.folders.files",
    "splade_engine.encoder.modules": "splade_engine.encoder.folders.sentence_transformers",
    "splade_engine.encoder.packed": "splade_engine.encoder.fast.packed",
    "splade_engine.encoder.packed_dense": "splade_engine.encoder.fast.packed_dense",
    "splade_engine.encoder.pooling": "splade_engine.encoder.fast.pooling",
    "splade_engine.encoder.quantized": "splade_engine.encoder.folders.compact",
    "splade_engine.encoder.saving": "splade_engine.encoder.folders.export",
    "splade_engine.encoder.scalar": "splade_engine.encoder.kinds.scalar",
    "splade_engine.encoder.screen": "splade_engine.encoder.fast.screen",
    "splade_engine.encoder_record": "splade_engine.engine.encoder_record",
    "splade_engine.eval.bm25": "splade_engine.eval.systems.bm25",
    "splade_engine.eval.charts": "splade_engine.eval.report.charts",
    "splade_engine.eval.comparison": "splade_engine.eval.report.comparison",
    "splade_engine.eval.dataset": "splade_engine.collections.dataset",
    "splade_engine.eval.datasets": "splade_engine.collections.loading",
    "splade_engine.eval.dense": "splade_engine.eval.systems.dense",
    "splade_engine.eval.dense_model": "splade_engine.encoder.dense",
    "splade_engine.eval.distractors": "splade_engine.collections.distractors",
    "splade_engine.eval.experiment": "splade_engine.eval.run.experiment",
    "splade_engine.eval.explain": "splade_engine.eval.run.explain",
    "splade_engine.eval.feedback": "splade_engine.eval.systems.feedback",
    "splade_engine.eval.fusion": "splade_engine.eval.systems.fusion",
    "splade_engine.eval.ir_source": "splade_engine.collections.ir_source",
    "splade_engine.eval.markup": "splade_engine.eval.report.writers",
    "splade_engine.eval.memory": "splade_engine.eval.measures.memory",
    "splade_engine.eval.qrels": "splade_engine.collections.qrels",
    "splade_engine.eval.recall": "splade_engine.eval.measures.recall",
    "splade_engine.eval.repeat": "splade_engine.eval.run.repeat",
    "splade_engine.eval.report_charts": "splade_engine.eval.report.figures",
    "splade_engine.eval.report_data": "splade_engine.eval.report.page_data",
    "splade_engine.eval.report_table": "splade_engine.eval.report.table",
    "splade_engine.eval.rerank": "splade_engine.eval.systems.rerank",
    "splade_engine.eval.results": "splade_engine.eval.run.results",
    "splade_engine.eval.runner": "splade_engine.eval.run.runner",
    "splade_engine.eval.runs": "splade_engine.eval.run.runs",
    "splade_engine.eval.significance": "splade_engine.eval.measures.significance",
    "splade_engine.eval.sparse": "splade_engine.eval.systems.sparse",
    "splade_engine.eval.sparse_collection": "splade_engine.eval.systems.sparse_collection",
    "splade_engine.eval.sparsity": "splade_engine.eval.measures.sparsity",
    "splade_engine.eval.store": "splade_engine.eval.run.store",
    "splade_engine.eval.suite": "splade_engine.eval.run.suite",
    "splade_engine.eval.summary": "splade_engine.eval.report.written",
    "splade_engine.eval.tables": "splade_engine.eval.report.tables",
    "splade_engine.eval.workbench": "splade_engine.eval.run.workbench",
    "splade_engine.eval.written": "splade_engine.eval.report.written",
    "splade_engine.explain": "splade_engine.engine.explain",
    "splade_engine.hits": "splade_engine.engine.hits",
    "splade_engine.index.build": "splade_engine.index.stream",
    "splade_engine.index.builder": "splade_engine.index.segment.build",
    "splade_engine.index.ids": "splade_engine.index.disk.ids",
    "splade_engine.index.join": "splade_engine.index.merge",
    "splade_engine.index.layout": "splade_engine.index.segment.layout",
    "splade_engine.index.manifest": "splade_engine.index.disk.manifest",
    "splade_engine.index.opened": "splade_engine.index.reader",
    "splade_engine.index.payload": "splade_engine.index.disk.payload",
    "splade_engine.index.publish": "splade_engine.index.disk.publish",
    "splade_engine.index.records": "splade_engine.index.disk.records",
    "splade_engine.index.results": "splade_engine.index.search",
    "splade_engine.index.rows": "splade_engine.index.segment.rows",
    "splade_engine.index.searcher": "splade_engine.index.segment.search",
    "splade_engine.index.settings": "splade_engine.index.config",
    "splade_engine.index.storage": "splade_engine.index.disk.storage",
    "splade_engine.index.storage_kinds": "splade_engine.index.segment.terms",
    "splade_engine.index.where": "splade_engine.index.filter.parse",
    "splade_engine.index.where_eval": "splade_engine.index.filter.evaluate",
    "splade_engine.shards": "splade_engine.engine.encoding",
    "splade_engine.training.activations": "splade_engine.training.student.activations",
    "splade_engine.training.alignment": "splade_engine.training.student.alignment",
    "splade_engine.training.clusters": "splade_engine.training.mining.clusters",
    "splade_engine.training.collate": "splade_engine.training.data.collate",
    "splade_engine.training.cpu_layers": "splade_engine.training.student.cpu_layers",
    "splade_engine.training.csr": "splade_engine.training.student.csr",
    "splade_engine.training.curves": "splade_engine.training.run.curves",
    "splade_engine.training.dense_fit": "splade_engine.training.teachers.dense_fit",
    "splade_engine.training.distillation": "splade_engine.training.objective.distillation",
    "splade_engine.training.examples": "splade_engine.training.data.examples",
    "splade_engine.training.generation": "splade_engine.training.data.generation",
    "splade_engine.training.head": "splade_engine.training.student.head",
    "splade_engine.training.idf": "splade_engine.training.data.idf",
    "splade_engine.training.ir_source": "splade_engine.training.data.ir_source",
    "splade_engine.training.lexical": "splade_engine.training.teachers.lexical",
    "splade_engine.training.line_file": "splade_engine.training.data.line_file",
    "splade_engine.training.lora": "splade_engine.training.student.lora",
    "splade_engine.training.losses": "splade_engine.training.objective.losses",
    "splade_engine.training.memory": "splade_engine.training.run.memory",
    "splade_engine.training.mixture": "splade_engine.training.data.mixture",
    "splade_engine.training.model": "splade_engine.training.student.sparse",
    "splade_engine.training.monitor": "splade_engine.training.run.monitor",
    "splade_engine.training.negatives": "splade_engine.training.mining.negatives",
    "splade_engine.training.preflight": "splade_engine.training.student.preflight",
    "splade_engine.training.probe": "splade_engine.training.run.probe",
    "splade_engine.training.query_bank": "splade_engine.training.teachers.query_bank",
    "splade_engine.training.recipe_sections": "splade_engine.training.recipe.sections",
    "splade_engine.training.recipe_values": "splade_engine.training.recipe.values",
    "splade_engine.training.refresh": "splade_engine.training.mining.refresh",
    "splade_engine.training.regularizers": "splade_engine.training.objective.regularizers",
    "splade_engine.training.retrievers": "splade_engine.training.mining.retrievers",
    "splade_engine.training.saving": "splade_engine.training.student.saving",
    "splade_engine.training.schedules": "splade_engine.training.objective.schedules",
    "splade_engine.training.sources": "splade_engine.training.data.sources",
    "splade_engine.training.static_queries": "splade_engine.training.teachers.static_queries",
    "splade_engine.training.trainer": "splade_engine.training.run.trainer",
    "splade_engine.training.watch": "splade_engine.training.run.watch",
    "splade_engine.vector_files": "splade_engine.vectors.files",
}


class MovedModules(_Importer):
    """The finder that `import` asks first: it knows the old names, and what lies below them, only."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a name of the table, None for every other."""
        place = new_place(fullname)
        if place is None:
            return None
        # 2: the frame that has the import statement; the import machinery's own frames do not count
        warnings.warn(
            f"{fullname} is now {place}; the old name goes with the next minor release",
            DeprecationWarning,
            stacklevel=2,
        )
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> None:
        """The usual module, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module at its new place under the old name too: one object, so that classes stay one."""
        place = new_place(module.__name__)
        assert place is not None
        sys.modules[module.__name__] = importlib.import_module(place)


def new_place(name: str) -> str | None:
    """Where the module of an old name is now; None for a name that is not old."""
    if not name.startswith("splade_engine."):
        return None
    if name in MOVED:
        return MOVED[name]
    package, _, module = name.rpartition(".")
    place = new_place(package)
    return None if place is None else f"{place}.{module}"


def install() -> None:
    """Put the finder at the head of `sys.meta_path`, once."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())
