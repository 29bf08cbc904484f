"""What requests and answers look like: checked on the way in, described in the OpenAPI document.

A request knows which options of the engine it stands for (`SearchRequest.options`): an option that the engine
learns is one field here and one entry there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from splade_engine.engine.feedback import MOST_DOCS
from splade_engine.engine.fusion import hybrid_of, weighted
from splade_engine.engine.options import MOST_OFFSET, SearchOptions


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


class SearchRequest(Request):
    """One query, or several that are searched in the same way."""

    query: Query | list[Query]
    k: int = Field(default=10, ge=1, description="Number of hits.")
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
    related: bool = Field(
        default=False,
        description="Where nothing matches, search by related terms; that takes the model.",
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

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `SearchEngine.search` that the fields stand for: those that were sent."""
        given = {name: getattr(self, name) for name in self.model_fields_set & _SEARCH_OPTIONS}
        given["related"] = self.related
        if self.hybrid_weight is not None:
            given["hybrid"] = weighted(hybrid_of(self.hybrid or True), self.hybrid_weight)
        return given


_SEARCH_OPTIONS = {"accuracy", "exact", "where"} | set(SearchOptions.__dataclass_fields__)
_SEARCH_OPTIONS -= {"rerank"}  # true or false here; the scorer is the server's (`answers.search`)


class ExplainRequest(Request):
    """A query and one document, hit or not."""

    query: Query
    id: Text = Field(description="Of the document.")
    k: int = Field(default=10, ge=1, description="Number of hits of the search that is asked about.")
    where: Where | None = None
    accuracy: float | None = Field(default=None, gt=0, le=1)
    exact: bool = False

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `SearchEngine.search` that the fields stand for."""
        return {"accuracy": self.accuracy, "exact": self.exact, "where": self.where}


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


class Snippet(BaseModel):
    """The stretch of a text with most matches."""

    text: str
    start: int = Field(description="Where it begins in the whole text.")
    spans: list[tuple[int, int]] = Field(description="(start, end) of the matching words, within `text`.")
    cut: tuple[bool, bool] = Field(description="Whether text is left out before and behind.")


class Match(BaseModel):
    """A term that query and document share."""

    term: str
    query_weight: float
    document_weight: float
    contribution: float
    share: float
    words: list[str]
    expansion: bool


class Missing(BaseModel):
    """A term of the query that the document lacks."""

    term: str
    query_weight: float


class SideModel(BaseModel):
    """Where one side of a hybrid search had a document, and what it added to the score."""

    name: str = Field(description="terms or words")
    rank: int = Field(description="From 1; 0 where this side did not find the document.")
    score: float
    contribution: float


class WordModel(BaseModel):
    """A word that counted as it is written."""

    word: str
    count: int = Field(description="How often the document holds it.")
    n_docs: int = Field(description="How many documents of the index hold it.")
    contribution: float


class ExplanationModel(BaseModel):
    """The sum behind a score."""

    score: float
    matches: list[Match]
    missing: list[Missing]
    title_spans: list[tuple[int, int]]
    text_spans: list[tuple[int, int]]
    sides: list[SideModel] | None = None
    words: list[WordModel] | None = None


class HitModel(BaseModel):
    """One ranked document."""

    rank: int
    id: str
    score: float
    title: str | None = None
    text: str | None = None
    metadata: dict[str, Any] | None = None
    snippet: Snippet | None = None
    title_spans: list[tuple[int, int]] | None = None
    explanation: ExplanationModel | None = None


class Answer(BaseModel):
    """Every answer about an index names the generation that it was made from."""

    index: str
    generation: int


class Counts(BaseModel):
    """What was counted beside the hits of a query."""

    total: int | None = Field(default=None, description="Of all matches, or groups of them.")
    facets: dict[str, list[tuple[str | int | float | bool, int]]] | None = Field(
        default=None, description="Values and counts, the most frequent first."
    )
    notes: list[str] | None = Field(default=None, description="How the query was read, for people.")
    covered: float | None = Field(
        default=None, description="Share of the query's weight on terms that the best hit has, 0 to 1."
    )
    weak: bool | None = Field(default=None, description="Whether that is so little that it may be no answer.")
    did_you_mean: str | None = Field(default=None, description="The query as the documents spell it.")


class SearchAnswer(Answer, Counts):
    """Hits, best first; a list of lists where several queries were asked."""

    took_us: int = Field(description="Microseconds that encoding and searching took.")
    hits: list[HitModel] | list[list[HitModel]]
    counts: list[Counts] | None = Field(default=None, description="Per query, where several were asked.")


class ExplainAnswer(Answer, ExplanationModel):
    """Why a document is, or is not, among the hits."""

    id: str
    reason: str = Field(description="hit, filtered, no shared term, score too low or missed")
    rank: int = Field(description="Among all documents, by exact score; 0 without a shared term.")
    found_rank: int = Field(description="In the search that was asked about; 0 where it is no hit.")
    last_score: float = Field(description="Of the last of the k hits; 0 where there are fewer.")


class DocumentModel(BaseModel):
    """A stored document."""

    id: str
    title: str
    text: str
    metadata: dict[str, Any]


class Similar(BaseModel):
    """A document like another one."""

    id: str
    title: str
    score: float


class Neighbour(BaseModel):
    """What stands before or behind a document in the index."""

    id: str
    title: str


class DocumentAnswer(Answer, DocumentModel):
    """A document, and what is near it where that was asked for."""

    before: list[Neighbour] | None = None
    after: list[Neighbour] | None = None
    similar: list[Similar] | None = None


class DocumentsAnswer(Answer):
    """Several documents, in the order asked for."""

    documents: list[DocumentModel]
    missing: list[str]


class WriteAnswer(Answer):
    """A change that is on the disk: whoever asks from now on sees it."""

    written: int
    deleted: int
    missing: list[str] = Field(description="Ids to delete that the index did not hold.")
    documents: int = Field(description="That the index holds now.")


class FieldModel(BaseModel):
    """A metadata field, with what a filter on it can be built from."""

    name: str
    type: str
    values: list[tuple[str | bool, int]] | None = Field(default=None, description="Frequent values, counts.")
    least: float | None = None
    most: float | None = None


class FieldsAnswer(Answer):
    """The metadata fields; counted over `sampled` documents."""

    documents: int
    sampled: int
    fields: list[FieldModel]


class IndexModel(BaseModel):
    """One of the indexes served."""

    name: str
    documents: int
    generation: int
    encoder: str
    write: bool
    words: bool = Field(description="Whether words as they are written are listed, for hybrid searches.")


class IndexesAnswer(BaseModel):
    """The indexes served, the first of them answers where none is named."""

    indexes: list[IndexModel]


class Embedded(BaseModel):
    """One term of a vector."""

    index: int
    value: float


class InfoAnswer(BaseModel):
    """As text-embeddings-inference has it, and what the index holds."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: dict[str, Any]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    index: str
    generation: int
    documents: int
    fingerprint: str
    bytes: int


class ProblemModel(BaseModel):
    """Every error."""

    error: str
    error_type: str
    request_id: str
