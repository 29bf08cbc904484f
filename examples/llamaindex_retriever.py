"""Give LlamaIndex the documents of an index: pip install 'splade-engine[llamaindex]'."""

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from splade_engine import SearchEngine
from splade_engine.integrations.llamaindex import SpladeEngineRetriever

notes = [
    {"id": "moon", "text": "The gravity of the moon pulls the sea, twice a day.", "year": 1998},
    {"id": "bread", "text": "Yeast turns sugar into gas, and the dough rises.", "year": 2015},
    {"id": "battery", "text": "Lithium ions move between two electrodes.", "year": 2019},
]
engine = SearchEngine.build("notes-index", notes, overwrite=True)

retriever = SpladeEngineRetriever(engine, similarity_top_k=1)
for node in retriever.retrieve("why are there tides in the ocean"):
    print(node.node_id, "|", node.text)

# the mock stands for your model: it repeats the prompt, which holds the text that was found
answers = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
print("dough rises" in str(answers.query("why does bread rise")))

# prints:
# moon | The gravity of the moon pulls the sea, twice a day.
# True
