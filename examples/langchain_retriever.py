"""Search a folder of texts from LangChain: pip install 'splade-engine[langchain]'."""

from langchain_core.runnables import RunnableLambda

from splade_engine import SearchEngine
from splade_engine.integrations.langchain import SpladeEngineRetriever

notes = [
    {"id": "moon", "text": "The gravity of the moon pulls the sea, twice a day.", "year": 1998},
    {"id": "bread", "text": "Yeast turns sugar into gas, and the dough rises.", "year": 2015},
    {"id": "battery", "text": "Lithium ions move between two electrodes.", "year": 2019},
]
SearchEngine.build("notes-index", notes, overwrite=True)

retriever = SpladeEngineRetriever.open("notes-index", k=2)
for document in retriever.invoke("why are there tides in the ocean"):
    print(document.id, "|", document.page_content)

# a retriever is a part of chains; filters are LangChain's dictionaries
chain = retriever.bind(where={"year": {"$gte": 2000}}) | RunnableLambda(lambda found: found[0].id)
print(chain.invoke("how does dough rise"))

# prints:
# moon | The gravity of the moon pulls the sea, twice a day.
# bread
