from __future__ import annotations

import json
from pathlib import Path

import pytest

from splade_engine.errors import IndexCorruptError
from tests.attacks import hostile, victim
from tests.attacks.trials import CORPUS, forked

SEED = 20261121


def test_forged_arrays_never_crash_a_process() -> None:
    tally = hostile.forged_arrays(2000, SEED).checked()
    assert tally.outcomes["refused"] > 1000
    assert (
        tally.outcomes["sound answers"] > 100
    )  # the forgeries are not all so coarse that any check finds them


def test_forged_optional_sections_are_refused_by_name(tmp_path: Path) -> None:
    """Sections that only some kinds of rows have may be absent, but not out of place or unknown."""
    victim.build(tmp_path / "ix", victim.KINDS[2])
    body = hostile.read_body(tmp_path / "ix")
    sections = body["segments"][0]["postings"]["sections"]
    names = list(sections)
    assert names[-4:] == ["doc_weights_8", "doc_scales", "doc_term_lows_8", "doc_term_blocks"]
    for listed in (
        [*names[:-2], names[-1], names[-2]],
        [*names[1:], names[0]],
        names[1:],
    ):
        changed = json.loads(json.dumps(body))
        changed["segments"][0]["postings"]["sections"] = {name: sections[name] for name in listed}
        hostile.write_body(tmp_path / "ix", changed)
        with pytest.raises(IndexCorruptError, match="does not list the sections of a postings file"):
            victim.answers(tmp_path / "ix")
    body["segments"][0]["postings"]["sections"]["doc_weights_4"] = [0, "0" * 32]
    hostile.write_body(tmp_path / "ix", body)
    with pytest.raises(IndexCorruptError, match="does not list the sections of a postings file"):
        victim.answers(tmp_path / "ix")


def test_the_same_forgeries_crash_processes_when_nothing_is_validated() -> None:
    assert hostile.without_validation(150, SEED).checked().trials == 150


def test_forged_manifests_never_crash_a_process() -> None:
    assert hostile.forged_manifests(3000, SEED).checked().trials == 3000


@pytest.mark.parametrize("name", sorted(p.name for p in CORPUS.iterdir()) if CORPUS.exists() else ["none"])
def test_what_was_lost_once_is_never_lost_again(name: str, tmp_path: Path) -> None:
    folder = victim.copy(CORPUS / name, tmp_path / "ix") if name != "none" else tmp_path / "ix"

    def look(_: int) -> str:
        try:
            victim.answers(folder)
        except victim.REFUSED:
            return "refused"
        return "sound answers"

    assert forked(lambda: look, [0]).checked().trials == 1
