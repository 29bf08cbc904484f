"""`refusing`: whatever a library raises over a damaged model becomes one line that names the folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splade_engine.errors import CheckpointError, SpladeEngineError, lacks_memory, reason_of
from splade_engine.extras import missing_extra


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
            raise MemoryError(f"{path}: {reason_of(error)}") from error
        raise _refusal(path, doing, error) from error


def _refusal(path: Path | str, doing: str, error: BaseException) -> CheckpointError:
    return CheckpointError(f"{path}: {doing}: {reason_of(error)}")
