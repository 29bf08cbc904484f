"""Index and compare in PyTerrier, without Java: pip install 'splade-engine[pyterrier]'."""

import pandas as pd
import pyterrier as pt

from splade_engine.integrations.pyterrier import SpladeEngineIndex

documents = [
    {"docno": "moon", "text": "The gravity of the moon pulls the sea, twice a day."},
    {"docno": "bread", "text": "Yeast turns sugar into gas, and the dough rises."},
    {"docno": "battery", "text": "Lithium ions move between two electrodes."},
]
index = SpladeEngineIndex("notes-index").indexer(overwrite=True).index(documents)

topics = pd.DataFrame([["1", "tides of the ocean"], ["2", "baking a loaf"]], columns=["qid", "query"])
qrels = pd.DataFrame([["1", "moon", 1], ["2", "bread", 1]], columns=["qid", "docno", "label"])
retriever = index.retriever(num_results=2, exact=True, fields=["text"])
print(retriever(topics)[["qid", "docno", "rank"]].query("rank == 0").to_string(index=False))
print(
    pt.Experiment([retriever], topics, qrels, ["recip_rank"], names=["splade-engine"]).to_string(index=False)
)

# prints:
# qid docno  rank
#   1  moon     0
#   2 bread     0
#          name  recip_rank
# splade-engine         1.0
