"""What a library raised becomes the end of a one-line message, whatever it raised."""

from __future__ import annotations

import pytest

from splade_engine.errors import reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such row\nTraceback follows"), "no such row"),
        (ValueError("\n  \n  the third line says it"), "the third line says it"),
        (RuntimeError("Error(s) in loading:\n\tsize mismatch\n\tmore"), "Error(s) in loading: size mismatch"),
        (IndexError(), "IndexError"),
        (EOFError(" \n"), "EOFError"),
        (ValueError("5000 digits; use sys.set_int_max_str_digits() to increase the limit"), "5000 digits"),
        (ValueError("a\x1b[2Jb\u202ec"), "a?[2Jb?c"),
        (ValueError("x" * 301), "x" * 300 + " ..."),
        ("told as a text", "told as a text"),
    ],
)
def test_the_reason_of_an_error_is_one_line(error: Exception | str, reason: str) -> None:
    assert reason_of(error) == reason
