"""Search from a Haystack pipeline, and save the pipeline: pip install 'splade-engine[haystack]'."""

from haystack import Pipeline

from splade_engine import SearchEngine
from splade_engine.integrations.haystack import SpladeEngineRetriever

notes = [
    {"id": "moon", "text": "The gravity of the moon pulls the sea, twice a day.", "year": 1998},
    {"id": "bread", "text": "Yeast turns sugar into gas, and the dough rises.", "year": 2015},
    {"id": "battery", "text": "Lithium ions move between two electrodes.", "year": 2019},
]
SearchEngine.build("notes-index", notes, overwrite=True)

pipeline = Pipeline()
pipeline.add_component("retriever", SpladeEngineRetriever("notes-index", top_k=2))
late = {"field": "meta.year", "operator": ">=", "value": 2000}
question = {"query": "what rises in a warm kitchen", "filters": late}
for document in pipeline.run({"retriever": question})["retriever"]["documents"]:
    print(document.id, "|", document.content)
print("notes-index" in pipeline.dumps())

# prints:
# bread | Yeast turns sugar into gas, and the dough rises.
# True
