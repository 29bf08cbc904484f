"""The pictures of the documents show what the bundled encoder computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.docs_pictures import PICTURES, draw

COMMITTED = Path(__file__).parents[2] / "docs" / "images"
SHOWN = re.compile(r"<text[^>]*>([^<]*)</text>")
NUMBER = re.compile(r"\d+\.\d+")


def shown(folder: Path, name: str) -> list[str]:
    return SHOWN.findall((folder / f"{name}.svg").read_text(encoding="utf-8"))


def words(folder: Path, name: str) -> set[str]:
    """What is written in a picture, without its numbers: terms of nearly equal weight may change places."""
    return {NUMBER.sub("#", text) for text in shown(folder, name)}


def numbers(folder: Path, name: str) -> list[float]:
    return sorted(float(number) for text in shown(folder, name) for number in NUMBER.findall(text))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw(folder)
    return folder


@pytest.mark.parametrize("name", PICTURES)
def test_a_committed_picture_is_what_the_script_draws(name: str, drawn: Path) -> None:
    assert words(drawn, name) == words(COMMITTED, name)
    # in float32 on every processor, which may add in another order
    assert numbers(drawn, name) == pytest.approx(numbers(COMMITTED, name), rel=0.05, abs=0.06)
