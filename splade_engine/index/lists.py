"""How posting lists are stored, as values that carry their own parameters: `BuildConfig(lists=...)`.

`segment/list_kinds.py` has what makes, checks and searches each of them. docs/performance.md has what each
costs and where each is the faster one; `auto_lists.py` chooses by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError

MOST_POSTINGS = 1 << 40  # that a list may be asked to keep, or a query to walk
MOST_HITS = 1 << 30  # that a query may ask for


@dataclass(frozen=True)
class ImpactLists:
    """Each list in windows of 65,536 documents, the largest weights first.

    A search walks the entries of largest impact and scores the best documents in full.
    """

    kind: ClassVar[str] = "impact"


@dataclass(frozen=True)
class BlockLists:
    """Each list over blocks of 16 alike documents, with the largest weight that each block has of the term.

    A search adds up those largest weights for all blocks, visits the best blocks, and scores their best
    documents in full. After Seismic (Bruch and others, SIGIR 2024: blocks of alike documents, summaries of
    8 bits, static pruning) and block-max pruning (Mallia and others, SIGIR 2024: blocks that all lists share,
    visited best first). A block has 16 documents because one vector instruction adds up as many; a list may
    have any number of blocks.

    What pruning leaves out of the lists stays in the rows: scores are always those of whole documents, and
    exact search stays exact, by the largest weight that each list has left out. All three ways together keep
    what each of them keeps.
    """

    kind: ClassVar[str] = "blocks"

    # How documents are put into blocks: "alike", k-means over sketches of their vectors as a tree; "given",
    # as they come, for collections whose neighbours are alike already.
    order: Literal["alike", "given"] = "alike"
    # Of a sketch, a multiple of 64. With 128 a query visits 8 % more blocks for the same recall.
    dimensions: int = 256
    # Into how many clusters a part is split at most, level by level until 16 documents are left; 128 are two
    # levels for 200,000 documents. One level of as many as needed visits 10 % fewer blocks.
    clusters: int = 128
    # How often the centres of a split move.
    rounds: int = 5
    # Pruning by document: it stands in the lists of its heaviest terms, until they hold this share of its
    # total weight (rounded up to the next of 256 steps). No document is lost. 1: in all of its lists.
    energy: float = 1.0
    # Pruning by weight over the collection (Seismic's global threshold): the lists together keep as many
    # entries, the largest, as there are lists times this. Seismic takes 3,500 for 8.8 million documents.
    mean_postings: int | None = None
    # Pruning by list: none keeps more entries than this, the largest.
    cap: int | None = None

    def __post_init__(self) -> None:
        if self.order not in ("alike", "given"):
            raise InvalidInputError(f"BlockLists.order must be one of alike, given, got {shown(self.order)}")
        check_integer("BlockLists", "dimensions", self.dimensions, 64, 1024)
        if self.dimensions % 64:
            raise InvalidInputError(f"BlockLists.dimensions must be a multiple of 64, got {self.dimensions}")
        check_integer("BlockLists", "clusters", self.clusters, 2, 4096)
        check_integer("BlockLists", "rounds", self.rounds, 0, 1000)
        number = isinstance(self.energy, int | float) and not isinstance(self.energy, bool)
        if not number or not 0.0 < self.energy <= 1.0:
            raise InvalidInputError(
                f"BlockLists.energy must be above 0 and at most 1, got {shown(self.energy)}"
            )
        for name in ("mean_postings", "cap"):
            value = getattr(self, name)
            if value is not None:
                check_integer("BlockLists", name, value, 1, MOST_POSTINGS)


@dataclass(frozen=True)
class AutoLists:
    """One of the others, chosen when the index is built (`auto_lists.py`); the index remembers which."""

    kind: ClassVar[str] = "auto"

    # Mean terms of the queries to come, which decide most. Not known: lists in order of impact. An engine
    # whose encoder makes queries without a model knows that they are short.
    query_terms: float | None = None
    # Hits that a query usually asks for: for a hundred of 200,000 documents, lists over blocks gain nothing.
    k: int = 10

    def __post_init__(self) -> None:
        number = isinstance(self.query_terms, int | float) and not isinstance(self.query_terms, bool)
        if self.query_terms is not None and not (number and 0.0 < self.query_terms < 1e9):
            raise InvalidInputError(f"AutoLists.query_terms must be above 0, got {shown(self.query_terms)}")
        check_integer("AutoLists", "k", self.k, 1, MOST_HITS)


Lists = ImpactLists | BlockLists
KINDS: Mapping[str, type[Any]] = {kind.kind: kind for kind in (ImpactLists, BlockLists)}


def check_integer(owner: str, name: str, value: Any, low: int, high: int) -> None:
    """Raises InvalidInputError unless `value` is an integer from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInputError(
            f"{owner}.{name} must be an integer between {low} and {high}, got {shown(value)}"
        )


def lists_of(value: Any, owner: str = "BuildConfig.lists") -> Lists | AutoLists:
    """The value that a name, a name with parameters (`blocks(energy=0.9)`), or a value itself stands for.

    Raises:
        InvalidInputError: if it is none of them.
    """
    kinds: dict[str, type[Any]] = {AutoLists.kind: AutoLists, **KINDS}
    if any(isinstance(value, kind) for kind in kinds.values()):
        found: Lists | AutoLists = value
        return found
    if isinstance(value, str):
        name, bracket, rest = value.strip().partition("(")
        if name.strip() in kinds and (not bracket or rest.endswith(")")):
            kind = kinds[name.strip()]
            made: Lists | AutoLists = kind(**_parameters(kind, rest[:-1], owner))
            return made
    names = ", ".join(kinds)
    raise InvalidInputError(
        f"{owner} must be one of {names}, or ImpactLists, BlockLists or AutoLists, got {shown(value)}"
    )


def _parameters(kind: type[Any], text: str, owner: str) -> dict[str, Any]:
    """The parameters within the brackets of `blocks(energy=0.9, cap=20000)`; `kind` checks their ranges."""
    known = [field.name for field in fields(kind)]
    found: dict[str, Any] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, given = (piece.strip() for piece in part.partition("="))
        if name not in known or name in found or not given:
            takes = f"takes {', '.join(known)}, each once as name=value" if known else "takes no parameters"
            raise InvalidInputError(f"{owner}: {kind.kind} {takes}, got {shown(part)}")
        found[name] = _number(given)
    return found


def _number(text: str) -> int | float | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def written(lists: Lists | AutoLists) -> str:
    """The text that `lists_of` reads: the kind, and the parameters that are not the default."""
    default = type(lists)()
    chosen = [f"{name}={value}" for name, value in asdict(lists).items() if value != getattr(default, name)]
    return lists.kind + (f"({', '.join(chosen)})" if chosen else "")


def to_record(lists: Lists | AutoLists) -> dict[str, Any]:
    """What a manifest stores of it: the kind and all parameters, so that no later default changes it."""
    return {"kind": lists.kind, **asdict(lists)}


def of_record(record: Any) -> Lists:
    """What `to_record` gave.

    Raises:
        InvalidInputError, TypeError: if it is nothing that it gives.
    """
    if not isinstance(record, dict):
        raise InvalidInputError(f"lists: {shown(record)}")
    fields = dict(record)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInputError(f"lists of kind {shown(kind)}")
    found: Lists = KINDS[kind](**fields)
    return found
