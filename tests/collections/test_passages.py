"""Cutting: no character is lost, no passage is too long, and the cuts are where a reader would put them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.collections import Document
from splade_engine.collections.cutting import cut_document
from splade_engine.collections.passages import (
    Passages,
    TokenMeter,
    cut,
    estimated_starts,
    markdown_blocks,
    plain_blocks,
    text_blocks,
)
from splade_engine.encoder import SparseEncoder
from splade_engine.errors import DatasetError, InvalidInputError


def passages(text, tokens=50, overlap=0, blocks=None):
    blocks = text_blocks(text) if blocks is None else blocks
    return cut(text, blocks, estimated_starts(text), tokens, overlap=overlap)


def size(text):
    return len(estimated_starts(text))


pieces = st.sampled_from(
    ["word", "a", "Sentence ends. ", " ", "\n", "\n\n", "# Title\n", "## `code` title\n", "```\n", "- item\n", "x" * 90,  # noqa: E501
     "漢字。", "Title\n=====\n", "! ", "\t", "    indented\n", "| a | b |\n", "~~~\n", "é", "\u2028"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=60).map("".join), st.integers(4, 60), st.integers(0, 20))
def test_no_character_is_lost_and_none_comes_twice(text: str, tokens: int, overlap: int):
    for blocks in (plain_blocks(text), markdown_blocks(text)):
        assert all(a.end <= b.start for a, b in pairwise(blocks))
        assert "".join("".join(text[b.start : b.end] for b in blocks).split()) == "".join(text.split())
        spans = passages(text, tokens, blocks=blocks)
        assert "".join("".join(text[s.start : s.end] for s in spans).split()) == "".join(text.split())
        assert all(s.start < s.end and size(text[s.start : s.end]) <= tokens for s in spans)
        again = passages(text, tokens, min(overlap, tokens // 2), blocks)
        assert all(size(text[s.start : s.end]) <= tokens for s in again)
        covered = {i for s in again for i in range(s.start, s.end)}
        assert all(i in covered or text[i].isspace() for i in range(len(text)))


def test_a_heading_begins_a_passage_and_titles_it():
    text = (
        "# Guide\n\n"
        + "Intro words here. " * 8
        + "\n\n## Install `it`\n\n"
        + "Run this now. " * 8
        + "\n\n### [Next](x.md)\n\n"
        + "More text. " * 8
    )
    spans = passages(text, 100)
    assert [s.heading for s in spans] == ["Guide", "Install it", "Next"]
    assert text[spans[1].start :].startswith("## Install `it`")
    assert passages("# A\n\nfew\n\n# B\n\nwords", 100)[0].heading == "A"  # small sections share a passage


def test_a_heading_stays_with_what_follows():
    text = "word " * 45 + "\n\n## Next\n\n" + "more " * 30
    assert [text[s.start : s.end].split()[0] for s in passages(text, 50)][-1] == "##"
    (long,) = {s.heading for s in passages("# Only\n\n" + "A sentence of five words. " * 40, 50)}
    assert long == "Only"
    first = passages("# Only\n\n" + "word " * 48, 50)[0]
    assert first.end > 20  # not the heading alone


def test_code_stays_whole_and_is_cut_between_lines_where_it_is_too_long():
    code = "```python\n" + "\n".join(f"value{i} = {i}" for i in range(8)) + "\n```"
    text = "Before it. " * 8 + "\n\n" + code + "\n\n" + "After it. " * 8
    found = [text[s.start : s.end] for s in passages(text, 60)]
    assert any(code in passage for passage in found)
    long = "```\n" + "\n".join(f"line number {i} of the code" for i in range(40)) + "\n```"
    assert all(
        p.split("\n")[-1].endswith(("code", "```"))
        for p in (long[s.start : s.end] for s in passages(long, 50))
    )
    assert [b.kind for b in markdown_blocks("```\n# no heading\n")] == ["code"]


def test_long_paragraphs_are_cut_between_sentences_and_words():
    text = " ".join(f"Sentence number {i} is here." for i in range(40))
    assert all(text[s.start : s.end].endswith(".") for s in passages(text, 50))
    chinese = "這是一個句子。" * 60
    assert all(chinese[s.start : s.end].endswith("。") for s in passages(chinese, 50))
    words = "word " * 400
    assert {text for s in passages(words, 50) for text in words[s.start : s.end].split()} == {"word"}
    assert len(passages("x" * 5000, 50)) == 25


def test_overlap_repeats_the_end_from_a_sentence_on_but_not_across_a_heading():
    text = " ".join(f"Sentence number {i} is here." for i in range(40)) + "\n\n# Other\n\n" + "Else. " * 20
    spans = passages(text, 60, overlap=20)
    first, second = spans[0], spans[1]
    assert first.start < second.start < first.end
    assert text[second.start :].startswith("Sentence number")
    assert size(text[second.start : first.end]) <= 20
    heading = next(s for s in spans if s.heading == "Other")
    assert text[heading.start :].startswith("# Other")


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("Title\n=====\n\ntext", ["Title"]),
        ("Title\n-----\ntext", ["Title"]),
        ("a\nb\n---\ntext", []),  # a rule below a paragraph
        ("| a | b |\n---\n", []),
        ("#hashtag\n", []),
        ("## A *b* `c` [d](e) {#f} ##\n", ["A b c d"]),
        ("####### seven\n", []),
        ("<a id='x'></a>\n# `fs.open(path[, flags])`\n", ["fs.open(path[, flags])"]),
        ("# snake_case_name and _this_\n", ["snake_case_name and this"]),
    ],
)
def test_headings_of_markdown(text: str, titles: list[str]):
    assert [b.title for b in markdown_blocks(text) if b.kind == "heading"] == titles


@pytest.mark.parametrize("values", [(15, 0), (0, 0), (True, 0), (2.5, 0), (32, 17), (32, -1)])
def test_passages_that_cannot_be(values):
    with pytest.raises(InvalidInputError, match=r"passages: a whole number|overlap: "):
        Passages(*values)


@pytest.fixture(scope="module")
def bundled() -> SparseEncoder:
    return SparseEncoder.load()


def test_with_the_real_tokenizer_every_passage_and_its_title_are_read_whole(bundled: SparseEncoder):
    text = "# A guide to `fs.openAsBlob(path[, options])`\n\n"
    text += "\n\n".join(
        f"## Section{i} ERR_{i}_FAILED\n\n" + f"`value_{i}` İstanbul, naïve; 東京! " * (i * 5)
        for i in range(1, 30)
    )
    meter = TokenMeter(bundled.token_starts, bundled.room)
    for how in (Passages(), Passages(64), Passages(505), Passages(400, 80)):
        made = cut_document(Document("d", text, "A guide to things"), how, meter)
        lengths = [len(bundled.token_starts(d.text)) for d in made]
        assert max(lengths) <= how.tokens
        assert sum(lengths) >= len(bundled.token_starts(text))
        assert bundled.encode_counted([d.indexed_text for d in made[-3:]]).truncated == 0
        assert all(len(bundled.token_starts(d.indexed_text)) <= bundled.room for d in made)


def test_token_starts_are_what_the_encoder_reads(bundled: SparseEncoder):
    text = "İstanbul's cafés open at 9.30 — really?"
    starts = bundled.token_starts(text)
    assert (starts[:-1] <= starts[1:]).all() and starts[0] == 0 and text[starts[-1]] == "?"
    assert bundled.room == bundled.max_length - 2
    long = "word " * 2000
    assert len(bundled.token_starts(long)) == 2000
    assert bundled.encode_counted([long]).truncated == 1
    assert bundled.encode_counted(["word " * bundled.room]).truncated == 0


def test_a_long_title_leaves_half_of_what_is_read_to_the_text():
    """A title of a megabyte was repeated in every passage, and nothing of the text was read."""
    meter = TokenMeter(room=60)
    text = "harbour tide moon. " * 500
    for title, kept in ("word " * 99_999, "word " * 29 + "word"), ("short", "short"):
        made = cut_document(Document("a", text, title), Passages(200), meter)
        assert {p.title for p in made} == {kept}
        assert all(size(p.title) + size(p.text) < 60 for p in made)
        assert "".join("".join(p.text for p in made).split()) == "".join(text.split())
    assert len(cut_document(Document("a", "tea", "x" * 10**6), Passages(20), meter)[0].title) <= 480


def test_metadata_that_passages_would_repeat_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    document = Document("a", "harbour tide moon. " * 500, "", {"notes": "x" * 10_000})
    monkeypatch.setenv("SPLADE_ENGINE_MAX_FILE_BYTES", "400000")
    with pytest.raises(
        DatasetError, match=r"document 'a': \d+ passages would repeat 10,\d+ characters of met"
    ):
        cut_document(document, Passages(20), TokenMeter())
    assert len(cut_document(document, Passages(200), TokenMeter())) > 1
