"""Progress for a person and for a program."""

from __future__ import annotations

import pytest

from splade_engine.progress import ProgressBar


def shown(capsys, progress, total=10):
    with ProgressBar(progress, total, label="encode", unit=" docs", done=4) as bar:
        bar.advance(3)
        bar.advance()
    return capsys.readouterr().err


def test_true_shows_a_bar_on_standard_error(capsys):
    err = shown(capsys, True)
    assert "encode" in err
    assert "8/10" in err


@pytest.mark.parametrize("progress", [False, None])  # None: pytest's standard error is no terminal
def test_false_and_none_show_nothing_here(capsys, progress):
    assert shown(capsys, progress) == ""


@pytest.mark.parametrize("total", [10, None])
def test_a_function_is_called_with_done_and_total_from_the_start(capsys, total):
    calls = []
    assert shown(capsys, lambda *numbers: calls.append(numbers), total) == ""
    assert calls == [(4, total), (7, total), (8, total)]
