"""Progress for a person and for a program."""

from __future__ import annotations

import time

import pytest

from splade_engine import progress
from splade_engine.progress import ProgressBar, duration, shows_bar, write_above


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


def test_over_counts_an_item_when_the_next_is_asked_for():
    calls = []
    with ProgressBar(lambda *numbers: calls.append(numbers), 2, label="x", unit=" y") as bar:
        seen = [(item, list(calls)) for item in bar.over("ab")]
    assert seen == [("a", [(0, 2)]), ("b", [(0, 2), (1, 2)])]
    assert calls == [(0, 2), (1, 2), (2, 2)]


def test_a_bar_that_is_not_kept_goes_away_and_its_note_is_shown(capsys):
    with ProgressBar(True, 2, label="search", unit=" queries", keep=False) as bar:
        bar.note("loss 0.5")
        bar.advance(2)
        bar._bar.refresh()
    bar.close()  # a second time
    err = capsys.readouterr().err
    assert "2/2" in err and "loss 0.5" in err
    assert err.endswith("\r") and not err.split("\r")[-2].strip()  # overwritten with blanks


def test_what_a_function_raises_ends_the_call():
    class Enough(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise Enough

    with pytest.raises(Enough), ProgressBar(stop, 9, label="x", unit=" y") as bar:
        for _ in bar.over(range(9)):
            pass
    assert bar._done == 2


def test_a_line_above_the_bars_goes_to_standard_error(capsys):
    write_above("reading 2 sources")
    assert capsys.readouterr() == ("", "reading 2 sources\n")
    assert [shows_bar(p) for p in (True, False, None, print)] == [True, False, False, False]


def test_a_line_a_minute_where_no_bar_can_move(capsys, caplog, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("splade_engine.progress.time.monotonic", lambda: clock[0])
    with (
        caplog.at_level("INFO", "splade_engine"),
        ProgressBar("lines", 45_000, label="encode", unit="doc", done=1_000) as bar,
    ):
        for _ in range(20):
            clock[0] += 10
            bar.advance(200)
    assert caplog.messages == [
        "encode: 2,200 of 45,000 docs (5%), 36 minutes left",
        "encode: 3,400 of 45,000 docs (8%), 35 minutes left",
        "encode: 4,600 of 45,000 docs (10%), 34 minutes left",
    ]
    caplog.clear()
    with (
        caplog.at_level("INFO", "splade_engine"),
        ProgressBar("lines", None, label="read", unit="doc") as bar,
    ):
        clock[0] += 70
        bar.advance(7)
    assert caplog.messages == ["read: 7 docs"]


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 seconds"), (300, "5 minutes"), (9000, "2.5 hours")])
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text


def test_a_heartbeat_is_a_line_a_minute(monkeypatch, caplog):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.02)
    with caplog.at_level("INFO", logger="splade_engine.progress"):
        with progress.heartbeat("lines", "compact"):
            time.sleep(0.3)
        said = len(caplog.messages)
        assert said >= 2
        assert set(caplog.messages) == {"compact: 0 seconds so far"}
        time.sleep(0.1)
        assert len(caplog.messages) == said, "it ends with the block"
        for other in (None, True, False):
            with progress.heartbeat(other, "compact"):
                time.sleep(0.05)
        assert len(caplog.messages) == said
        with pytest.raises(ValueError, match="inside"), progress.heartbeat("lines", "compact"):
            raise ValueError("inside")
