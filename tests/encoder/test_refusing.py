"""What a library raises over a model: a fault of its files, or of the machine."""

from __future__ import annotations

import pytest

from splade_engine.encoder.refusing import refusing
from splade_engine.errors import CheckpointError, InvalidInputError


@pytest.mark.parametrize(
    "error",
    [RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), MemoryError("9")],
)
def test_too_little_memory_is_no_fault_of_a_file(error: Exception) -> None:
    """It read: "dense_head.safetensors: not a dense head"."""
    with pytest.raises(MemoryError, match=r"^m: "), refusing("m", "not a dense head"):
        raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("evil"), "m: broken: 'evil'"),
        (
            ValueError("Validation error for field 'a':\n   TypeError: expected int\nmore"),
            "field 'a': TypeError: expected int",
        ),
        (ValueError("first\nsecond"), "m: broken: first"),
        (SystemError("a panic \x1b[31m"), r"m: broken: a panic \?\[31m"),
    ],
)
def test_whatever_is_raised_is_one_line_with_the_file(error: Exception, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught, refusing("m", "broken"):
        raise error
    assert "\n" not in str(caught.value)


def test_what_was_raised_on_purpose_passes() -> None:
    with pytest.raises(InvalidInputError, match=r"^as it is$"), refusing("m", "broken"):
        raise InvalidInputError("as it is")
