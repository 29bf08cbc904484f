"""`refusing`: whatever a library raises over a damaged model becomes one line that names the folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splade_engine.errors import CheckpointError, SpladeEngineError, lacks_memory
from splade_engine.extras import missing_extra

_LONGEST = 300


@contextmanager
def refusing(path: Path | str, doing: str) -> Iterator[None]:
    """Turn any error of the block into a `CheckpointError`: "PATH: DOING: what was raised".

    Tokenizers and transformers raise what their own code happens to raise (a panic of the tokenizer library
    is not even an `Exception`), so there is no list to catch. Errors that say what to do pass as they are.

    Raises:
        CheckpointError: for any error but those raised on purpose.
        MissingExtraError: if a package is not installed.
        MemoryError: there is too little of it.
    """
    try:
        yield
    except (SpladeEngineError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except ModuleNotFoundError as error:
        raise missing_extra(error, "this model") or _refusal(path, doing, error) from error
    except BaseException as error:
        if lacks_memory(error):  # which is no fault of the file
            raise MemoryError(f"{path}: {one_line(error)}") from error
        raise _refusal(path, doing, error) from error


def _refusal(path: Path | str, doing: str, error: BaseException) -> CheckpointError:
    return CheckpointError(f"{path}: {doing}: {one_line(error)}")


def one_line(error: BaseException | str) -> str:
    """The first line of an error, and the second where that says what, without control characters.

    At most 300 characters.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2] if lines[:1] and lines[0].endswith(":") else lines[:1]) or type(error).__name__
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."
