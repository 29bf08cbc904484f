"""`splade-engine explain`: where a document stands for a query, and why."""

from __future__ import annotations

import json

import pytest


def test_a_hit_and_its_terms(cli, index_folder):
    lines = cli("explain", index_folder, "yeast and wind", "bread").stdout.splitlines()
    assert lines[0].startswith("bread: hit number ")
    assert any(line.split()[0] == "yeast" for line in lines[1:])
    assert lines[-1].strip() == "not in the document: wind"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("moon", "bread"), "bread: no hit: it shares no term with the query"),
        (
            ("yeast", "bread", "--where", "year < 2000"),
            "bread: no hit: the filter or the query leaves it out",
        ),
        (("sea storm", "tides", "-k", 1), "tides: no hit: score too low, it is number 2 (score "),
    ],
)
def test_a_document_that_is_no_hit(cli, index_folder, options, told):
    assert cli("explain", index_folder, *options).stdout.startswith(told)


def test_signs_are_read_as_a_search_reads_them(cli, index_folder):
    first, second, third, *_ = cli("explain", index_folder, "yeast -flour", "bread").stdout.splitlines()
    assert first == "bread: no hit: the filter or the query leaves it out"
    assert (second.strip(), third.strip()) == ("without flour", "the document holds flour")
    plain = cli("explain", index_folder, "yeast -flour", "bread", "--plain").stdout
    assert plain.startswith("bread: hit number 1")


def test_as_json(cli, index_folder):
    facts = json.loads(cli("explain", index_folder, "yeast", "bread", "--json").stdout)
    assert (facts["id"], facts["reason"], facts["rank"], facts["found_rank"]) == ("bread", "hit", 1, 1)
    assert facts["score"] == pytest.approx(sum(match["contribution"] for match in facts["matches"]))


def test_a_document_that_is_not_there(refused, index_folder):
    assert "nosuch" in refused("explain", index_folder, "yeast", "nosuch")


def test_a_query_without_quotes(refused, index_folder):
    assert "; put a query of several words in quotes" in refused("search", index_folder, "how", "do", "tides")
