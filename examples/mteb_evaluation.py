"""Score an encoder with MTEB: pip install 'splade-engine[mteb]'."""

import mteb
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

from splade_engine.integrations.mteb import SpladeEngineSearch

TEXTS = {"moon": "The gravity of the moon pulls the sea.", "bread": "Yeast makes the dough rise."}
QUERIES = {"q1": "why are there tides", "q2": "how to bake a loaf"}


class Notes(AbsTaskRetrieval):
    """Two notes, two questions; `mteb.get_tasks(["NanoSciFactRetrieval"])` gives tasks that others use."""

    metadata = TaskMetadata(
        name="NotesRetrieval",
        description="two notes",
        type="Retrieval",
        category="t2t",
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        dataset={"path": "notes", "revision": "1"},
    )

    def load_data(self, *_args, **_options):  # noqa: ANN002, ANN003, ANN201
        """The collection, in memory."""
        rows = [Dataset.from_list([{"id": i, "text": t} for i, t in d.items()]) for d in (TEXTS, QUERIES)]
        judged = {"q1": {"moon": 1}, "q2": {"bread": 1}}
        split = {"corpus": rows[0], "queries": rows[1], "relevant_docs": judged, "top_ranked": None}
        self.dataset, self.data_loaded = {"default": {"test": split}}, True


results = mteb.evaluate(SpladeEngineSearch(), tasks=[Notes()], cache=None, show_progress_bar=False)
print("nDCG@10", results.task_results[0].get_score())

# prints:
# nDCG@10 1.0
