"""Adapters for the frameworks that people already use. Import the module that you need.

- `integrations.langchain`: `SpladeEngineRetriever`, a LangChain retriever
- `integrations.llamaindex`: `SpladeEngineRetriever`, a LlamaIndex retriever
- `integrations.haystack`: `SpladeEngineRetriever`, a Haystack component
- `integrations.pyterrier`: `SpladeEngineRetriever`, a transformer, and `SpladeEngineIndex`, an artifact
- `integrations.mteb`: `SpladeEngineSearch`, MTEB's search protocol
- `integrations.lsr_benchmark`: `retrieve`, and a command, a retrieval engine of lsr-benchmark

Each module imports its framework; where that is missing, it says which extra to install. The extras have the
names of the modules, with a hyphen for an underscore.
"""
