"""What a person may write in a query: `+must`, `-not` and "quoted phrases" among plain words.

    refund -atlas             documents without the word atlas
    +refund money             documents with the word refund
    "money back" refund       documents in which the two words stand one after the other
    +refund*                  a word that begins so

A sign counts only directly before a letter or a quotation mark, at the beginning of the query or behind a
space; and a minus only before three letters or more. So `C++`, `1 + 1`, `+49 30`, `tar -x`, `ls -la` and
`--verbose` are plain text. If no document has what a query demands, its words are searched without the
demand, and `Hits.notes` says so: an error message that was pasted with its quotation marks finds the best
there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from splade_engine.errors import InvalidInputError
from splade_engine.index.filter.nodes import HoldsWords
from splade_engine.index.words.text import words_of

_OPERATOR = re.compile(
    r"""(?:^|(?<=\s))
    (?P<sign>[+-]?)
    (?: ["\u201c](?P<phrase>[^"\u201c\u201d]+)["\u201d](?=$|[\s,.;:!?)]) | (?P<word>[^\W\d_]\S*) )""",
    re.VERBOSE,
)
_SIGN = re.compile(r"[-+\"\u201c]")
_SHORTEST = 3  # letters of a word that a minus leaves out; `-la` is an option of a command
_MOST_SIGNS = 1000  # three million of them took a minute, and nobody means so many


@dataclass(frozen=True)
class QueryText:
    """A query as it was read."""

    # what is encoded: all words but those that must not be there
    text: str
    must: tuple[HoldsWords, ...] = ()
    must_not: tuple[HoldsWords, ...] = ()


def has_signs(query: str) -> bool:
    """Whether a query may demand anything; quick, because nearly every query does not."""
    return _SIGN.search(query) is not None


def read_query(query: str) -> QueryText:
    """The plain text of a query, and what it demands of documents.

    Raises:
        InvalidInputError: it demands more than a thousand words and phrases.
    """
    if not has_signs(query):
        return QueryText(query)
    must: list[HoldsWords] = []
    must_not: list[HoldsWords] = []

    def plain(found: re.Match[str]) -> str:
        if len(must) + len(must_not) > _MOST_SIGNS:
            raise InvalidInputError(
                f"query: more than {_MOST_SIGNS:,} words and phrases with a sign or in quotes; "
                "operators=False (--plain) reads them as plain words"
            )
        sign, written = found["sign"], found["phrase"] or found["word"]
        if not sign and found["word"]:
            return found[0]
        wanted = _read(written, joined=bool(found["word"]))
        if wanted is None or (sign == "-" and found["word"] and len(wanted.words[0]) < _SHORTEST):
            return found[0]
        (must_not if sign == "-" else must).append(wanted)
        return "" if sign == "-" else written.rstrip("*")

    text = _OPERATOR.sub(plain, query)
    if not must and not must_not:
        return QueryText(query)
    return QueryText(" ".join(text.split()), tuple(dict.fromkeys(must)), tuple(dict.fromkeys(must_not)))


def demanded(name: str, terms: Iterable[str]) -> tuple[HoldsWords, ...]:
    """The conditions that the option `name` (`must`, `must_not`) stands for: a word or a phrase each.

    Raises:
        InvalidInputError: for a term without a word, naming it.
    """
    conditions = []
    for term in terms:
        wanted = _read(term) if isinstance(term, str) else None
        if wanted is None:
            raise InvalidInputError(f"{name}: {term!r:.60} holds no word")
        conditions.append(wanted)
    return tuple(conditions)


def shown(part: HoldsWords) -> str:
    """A condition as it is written in a query."""
    text = " ".join(part.words) + ("*" if part.prefix else "")
    return f'"{text}"' if len(part.words) > 1 else text


def without_demand(must: Iterable[HoldsWords]) -> str:
    """The note of a search that left out what no document holds."""
    return f"no document holds {' and '.join(map(shown, must))}: searched without that"


def _read(written: str, *, joined: bool = False) -> HoldsWords | None:
    """Words and phrases; of what stands without spaces (`joined`) no punctuation behind it."""
    written = written.rstrip(".,;:!?)") if joined else written.strip()
    words = tuple(words_of(written))
    return HoldsWords(words, prefix=written.endswith("*")) if words else None
