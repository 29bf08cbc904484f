"""Retrieve, build a prompt, answer: the loop of retrieval-augmented generation, with a stub for the model."""

from splade_engine import SearchEngine

pages = [
    {"id": "tides", "title": "Tides", "text": "The gravity of the moon pulls the sea twice a day."},
    {"id": "yeast", "title": "Bread", "text": "Yeast turns sugar into gas, and the dough rises."},
    {"id": "vaccine", "title": "Vaccines", "text": "A weakened virus teaches the body to make antibodies."},
]
engine = SearchEngine.build("pages-index", pages, overwrite=True)


def language_model(prompt: str) -> str:
    """Stands for a call of your own model: it repeats the first source."""
    return prompt.split("[1] ")[1].split("\n")[0]


def answer(question: str, least: float = 5.0) -> str:
    """An answer with its sources, or none where nothing scores well enough."""
    hits = engine.search(question, k=2, min_score=least)
    if not hits:
        return "I do not know."
    sources = "\n".join(f"[{i}] {hit.title}: {hit.snippet(300).text}" for i, hit in enumerate(hits, 1))
    prompt = f"Answer from the sources only, and name them.\n\n{sources}\n\nQuestion: {question}"
    return f"{language_model(prompt)} ({', '.join(hit.id for hit in hits)})"


for question in ("why does bread rise", "what causes the tides of the ocean", "who won the cup in 1998"):
    print(f"{question}? {answer(question)}")

# prints:
# why does bread rise? Bread: Yeast turns sugar into gas, and the dough rises. (yeast)
# what causes the tides of the ocean? Tides: The gravity of the moon pulls the sea twice a day. (tides)
# who won the cup in 1998? I do not know.
