"""What requests look like: checked on the way in, described in the OpenAPI document.

A request knows which options of the engine it stands for (`SearchRequest.options`): an option that the engine
learns is one field here and one entry there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from splade_engine.engine.feedback import MOST_DOCS
from splade_engine.engine.fusion import hybrid_of, weighted
from splade_engine.engine.options import MOST_OFFSET, SearchOptions
from splade_engine.engine.query_text import has_signs
from splade_engine.errors import InvalidInputError


def _whole(text: str) -> str:
    """JSON can write half a surrogate pair, which is no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
Query = Annotated[Text, Field(description="Any text.", examples=["how do tides work"])]
Where = Annotated[
    str | dict[str, Any],
    Field(
        description="A filter on metadata: an expression, or the same as an object.",
        examples=["year >= 1990 and lang in ['en', 'de']", {"year": {">=": 1990}, "lang": ["en", "de"]}],
    ),
]


class Request(BaseModel):
    """No field is guessed: unknown ones are refused, and "5" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RankedRequest(Request):
    """What asks for the best hits."""

    k: int = Field(default=10, ge=1, description="Number of hits; default: 10, or the most that may be had.")

    def within(self, most: int) -> Self:
        """The same with at most so many hits, where their number was left to the server."""
        if "k" in self.model_fields_set or self.k <= most:
            return self
        return self.model_copy(update={"k": most})


class SearchRequest(RankedRequest):
    """One query, or several that are searched in the same way."""

    query: Query | list[Query]
    where: Where | None = None
    accuracy: float | None = Field(default=None, gt=0, le=1, description="Share of the true top k to find.")
    exact: bool = Field(default=False, description="The true top k, whatever it costs.")
    must: list[Text] = Field(
        default_factory=list, max_length=32, description="Words or phrases that a hit holds, all of them."
    )
    must_not: list[Text] = Field(
        default_factory=list, max_length=32, description="Words or phrases that a hit does not hold."
    )
    operators: bool = Field(
        default=True, description='Whether +word, -word and "quoted phrases" are read in the query.'
    )
    hybrid: bool | Literal["sum", "rrf"] | None = Field(
        default=None,
        description="Words as they are written count too; null: those such as ERR_INVALID_ARG_TYPE alone.",
    )
    hybrid_weight: float | None = Field(
        default=None, ge=0, le=1e6, description="Of the words; that of the terms is 1."
    )
    rerank: bool = Field(
        default=False, description="Score the best hits anew with the server's reranker, if it has one."
    )
    related: bool | Literal["weak"] = Field(
        default=False,
        description=(
            'Where nothing matches, search by related terms; "weak": also where the best hit would be called '
            "weak. That takes the model."
        ),
    )
    offset: int | None = Field(
        default=None, ge=0, le=MOST_OFFSET, description="Hits to leave out: the next page. Exact where given."
    )
    min_score: float | None = Field(default=None, description="The lowest score of a hit.")
    group_by: Text | None = Field(
        default=None, description='Only the best hit of each value of a field; "parent": of each document.'
    )
    sort: Text | None = Field(
        default=None, description="All matches by a metadata field; with a minus the largest first."
    )
    total: bool = Field(default=False, description="Count all matches.")
    facets: list[Text] = Field(
        default_factory=list, max_length=32, description="Metadata fields whose values are counted."
    )
    facets_over: Literal["hits", "matches"] = Field(
        default="hits", description="Over the hits that are returned, or over all matches."
    )
    feedback: int | None = Field(
        default=None, ge=1, le=MOST_DOCS, description="Take terms of so many best hits, and search again."
    )
    certainty: bool = Field(
        default=False, description="Say whether the answer is weak, and which spelling may have been meant."
    )
    explain: bool = Field(default=False, description="Say why each document was found.")
    snippet: int | None = Field(
        default=None,
        ge=20,
        le=10_000,
        description="Characters around the matches, in place of the text.",
    )
    fields: list[str] | None = Field(
        default=None, description="Of title, text and the metadata fields, those to return; default: all."
    )

    @property
    def queries(self) -> list[str]:
        """One or several, always a list."""
        return [self.query] if isinstance(self.query, str) else self.query

    @property
    def is_plain(self) -> bool:
        """Whether only the best hits of one short query are asked for: searches of much the same cost."""
        return (
            isinstance(self.query, str)
            and len(self.query) <= _PLAIN_LENGTH
            and self.k <= _PLAIN_K
            and self.model_fields_set <= _PLAIN_FIELDS
            and not has_signs(self.query)  # words and phrases are looked up in the texts of many documents
        )

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `SearchEngine.search` that the fields stand for: those that were sent.

        Raises:
            InvalidInputError: a weight of the words, and no words.
        """
        if self.hybrid is False and self.hybrid_weight is not None:
            raise InvalidInputError("hybrid_weight: does not go with hybrid: false")
        given = {name: getattr(self, name) for name in self.model_fields_set & _SEARCH_OPTIONS}
        given["related"] = self.related
        if self.hybrid_weight is not None:
            given["hybrid"] = weighted(hybrid_of(self.hybrid or True), self.hybrid_weight)
        return given


_PLAIN_LENGTH, _PLAIN_K = 200, 100
_PLAIN_FIELDS = {"query", "k", "fields", "operators"}
_SEARCH_OPTIONS = {"accuracy", "exact", "where"} | set(SearchOptions.__dataclass_fields__)
_SEARCH_OPTIONS -= {"rerank"}  # true or false here; the scorer is the server's (`answers.search`)


class ExplainRequest(RankedRequest):
    """A query and one document, hit or not."""

    query: Query
    id: Text = Field(description="Of the document.")
    where: Where | None = None
    accuracy: float | None = Field(default=None, gt=0, le=1)
    exact: bool = False
    operators: bool = Field(
        default=True, description='Whether +word, -word and "quoted phrases" are read in the query.'
    )

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `explain_document` that the fields stand for."""
        how = {"accuracy": self.accuracy, "exact": self.exact, "operators": self.operators}
        return {**how, "where": self.where}


class DocumentsRequest(Request):
    """Documents as in the JSONL format: `_id` or `id`, `text`, perhaps `title`; the rest is metadata."""

    documents: list[dict[str, Any]] = Field(
        examples=[[{"_id": "tides", "title": "Tides", "text": "The moon pulls the sea.", "year": 1999}]]
    )


class EmbedSparseRequest(Request):
    """As text-embeddings-inference has it."""

    inputs: Text | list[Text] = Field(description="One text or several.")
    truncate: bool | None = Field(default=None, description="Texts are cut in any case (auto_truncate).")
    truncation_direction: Literal["left", "right", "Left", "Right"] | None = Field(
        default=None, description="Only right."
    )
    prompt_name: Literal["query", "document"] | None = Field(
        default=None, description='"query" encodes as a search does, anything else as a document.'
    )
