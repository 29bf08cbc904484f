"""The side of an encoder that reads queries: a table, a model of its own, or that of the documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.query_table import TableEncoder, load_table
from splade_engine.encoder.settings import PHRASE_SETTINGS
from splade_engine.encoder.side import NeuralSide
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError


def query_side(checkpoint: Checkpoint, documents: NeuralSide) -> NeuralSide | TableEncoder:
    """The query side of a checkpoint; both sides are checked here.

    Args:
        checkpoint: of the encoder.
        documents: its document side, which tells device and precision.

    Raises:
        CheckpointError: the sides do not go together, or a tokenizer is not its model's.
    """
    settings, query = checkpoint.settings, checkpoint.query
    if isinstance(query, QueryTable):
        table = load_table(checkpoint, query, checkpoint.n_terms)  # which checks its tokenizer
        if query.folder != checkpoint.model_folder:  # one that both sides share is read once
            _check_vocabularies(table.tokenizer, documents.tokenizer, query.folder)
        return table
    _ = documents.tokenizer  # which refuses one that is not this model's
    own = query or checkpoint
    alike = own.settings.length_of_queries == settings.max_length
    if query is None and settings.query_prompt == settings.document_prompt and alike:
        return documents
    if not alike and own.settings.query_max_length is not None:
        cut = replace(own.settings, max_length=own.settings.query_max_length, long_texts="cut")
        own = replace(own, settings=cut)
    # light terms are dropped from queries that the documents' model encodes
    same = own.model_folder == checkpoint.model_folder
    side = NeuralSide(
        _like(own, checkpoint),
        settings.query_prompt,
        documents.device,
        documents.dtype,
        settings.min_weight if same else 0.0,
    )
    terms_are_tokens = checkpoint.kind.term_names(checkpoint.n_terms) is None
    if own.model_folder != checkpoint.model_folder and terms_are_tokens:
        _check_vocabularies(side.tokenizer, documents.tokenizer, own.model_folder)
    _ = side.tokenizer
    return side


def _check_vocabularies(queries: TextTokenizer, documents: TextTokenizer, folder: Path) -> None:
    """Refuse sides that give a word two numbers: a query for it would find documents of another word.

    Raises:
        CheckpointError: naming the first such word.
    """
    theirs = documents.terms
    for token, term in queries.terms.items():
        if theirs.get(token, term) != term:
            raise CheckpointError(
                f"{folder}: {token!a:.60} is term {term} for queries and {theirs[token]} for documents: "
                "their tokenizers are of different models"
            )


def _like(query: Checkpoint, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint of queries, whose terms are those of documents."""
    if query.n_terms != checkpoint.n_terms:
        raise CheckpointError(
            f"{query.folder}: queries over {query.n_terms} terms, documents over {checkpoint.n_terms}"
        )
    for name in PHRASE_SETTINGS:
        asked, given = getattr(query.settings, name), getattr(checkpoint.settings, name)
        if asked != given:
            raise CheckpointError(f"{query.folder}: {name} is {asked} for queries and {given} for documents")
    return query
