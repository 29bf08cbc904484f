"""Options that have another name now. The old one is read for one minor release, and a line says so.

One name meant two things: `--top-k` was the number of hits of a search and of terms of a document, `--terms`
a number of terms, a way to store them, and a kind of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from splade_engine.cli import output

# by command: the old name and the new one
RENAMED: Mapping[str, Mapping[str, str]] = {
    "index": {"--top-k": "--max-terms", "--terms": "--term-numbers"},
    "add": {"--top-k": "--max-terms"},
    "sync": {"--top-k": "--max-terms"},
    "encode": {"--top-k": "--max-terms"},
    "export": {"--terms": "--max-terms"},
    "merge": {"--terms": "--term-numbers"},
    "phrases": {"--terms": "--kind"},
    "train": {"--terms": "--document-terms"},
}


def by_new_names(command: str, args: Sequence[str]) -> list[str]:
    """The arguments of a command with the present names of its options; each old one is told in a line."""
    new = RENAMED.get(command, {})
    end = args.index("--") if "--" in args else len(args)
    told = []
    for place, text in enumerate(args):
        option, sign, value = text.partition("=")
        if option in new and place < end:
            output.note(f"{option} is called {new[option]} now; the old name will go")
            text = f"{new[option]}{sign}{value}"
        told.append(text)
    return told
