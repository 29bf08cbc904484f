"""What answers look like, as the OpenAPI document describes them; `requests` has the other direction."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


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


class MissModel(BaseModel):
    """Where an approximate search lost a document that is good enough."""

    step: str = Field(description="skipped (its block), unread (its list entries) or outscored")
    estimate: float = Field(description="What the search knew of its score when it left it out.")
    threshold: float = Field(description="The least estimate that was enough.")
    pruned: list[int] = Field(description="Terms, by id, whose lists leave the document out.")
    told: str = Field(description="The same in a line of words.")


class ExplainAnswer(Answer, ExplanationModel):
    """Why a document is, or is not, among the hits."""

    id: str
    reason: str = Field(description="hit, filtered, no shared term, score too low or missed")
    notes: list[str] | None = Field(
        default=None, description="How the query was read, and what it demands that the document lacks."
    )
    rank: int = Field(
        description="Among all documents, by exact score of the terms; 0 without a shared term."
    )
    found_rank: int = Field(description="In the search that was asked about; 0 where it is no hit.")
    last_score: float = Field(description="Of the last of the k hits; 0 where there are fewer.")
    miss: MissModel | None = Field(
        default=None, description="Of a document that was missed: at which step of the search, by how much."
    )


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
    unfindable: list[str] | None = Field(
        default=None,
        description=(
            "Documents put that hold no token which the encoder knows, "
            "or only those passages of them that hold none."
        ),
    )


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
    max_k: int = Field(description="The most hits of a query.")
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
