"""README's Python example prints what README says it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
_NUMBER = re.compile(r"\d+\.\d+")


def test_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, expected = re.findall(r"```(?:python|text)\n(.*?)```", README, re.DOTALL)[:2]
    assert len(code.strip().splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    found = capsys.readouterr().out
    assert _NUMBER.sub("#", found) == _NUMBER.sub("#", expected)
    numbers = [[float(x) for x in _NUMBER.findall(text)] for text in (found, expected)]
    # weights in bfloat16 and float32 differ by up to .3 % (see SparseEncoder), and some are printed to .01
    assert numbers[0] == pytest.approx(numbers[1], rel=0.01, abs=0.02)
