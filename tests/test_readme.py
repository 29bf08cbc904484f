"""README's Python example prints what README says it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
_NUMBER = re.compile(r"\d+\.\d+")


def test_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, expected = re.findall(r"```(?:python|text)\n(.*?)```", README, re.DOTALL)[:2]
    assert len(code.strip().splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert _numbers(capsys.readouterr().out) == {
        # weights in bfloat16, the default where the processor has it, and in float32 differ by .05 at most
        text: pytest.approx(numbers, rel=0.05, abs=0.05)
        for text, numbers in _numbers(expected).items()
    }


def _numbers(printed: str) -> dict[str, list[float]]:
    """The numbers of every line, under its words (two terms of nearly the same share may change places)."""
    return {
        _NUMBER.sub("#", line): [float(x) for x in _NUMBER.findall(line)] for line in printed.splitlines()
    }
