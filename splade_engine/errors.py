"""Every error that splade-engine raises on purpose.

SpladeEngineError                   exit code 1
├── InvalidInputError (ValueError)  2   a value, file or parameter that cannot be accepted; names the place
│   ├── CheckpointError             2   a model folder that cannot be loaded
│   ├── DatasetError                2   a collection, qrels or run file that cannot be read
│   ├── IndexExistsError            2   the output folder holds something already
│   ├── IndexNotFoundError          2   no index in that folder
│   ├── IndexVersionError           2   an index of a format that this version cannot read
│   ├── EncoderMismatchError        2   the index was built with another encoder
│   ├── HubError                    2   a repository of the Hugging Face Hub that cannot be read or written
│   └── MissingExtraError           2   an optional package is not installed
├── IndexCorruptError               1   checksum or structure does not hold
├── IndexLockedError                1   another process is writing the index
├── StorageError (OSError)          2   the disk refused: full, read-only, gone
├── ShardUnavailableError           1   a shard that other processes search does not answer
└── TrainingError                   1   a run that cannot go on (collapse, out of memory)

The message of each is one line that names the file, row and value; the command line prints it and exits with
`exit_code`, never with a traceback.
"""

from __future__ import annotations


class SpladeEngineError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1


class InvalidInputError(SpladeEngineError, ValueError):
    """A value, file or parameter that cannot be accepted."""

    exit_code = 2


class CheckpointError(InvalidInputError):
    """A model folder or hub id that cannot be loaded as a sparse encoder."""


class DatasetError(InvalidInputError):
    """A collection, qrels or run file that cannot be read.

    Args:
        reason: what is wrong, and where.
        advice: what would help; the message ends with it.
    """

    def __init__(self, reason: str = "", advice: str = "") -> None:
        super().__init__(f"{reason}; {advice}" if advice else reason)
        self.reason, self.advice = reason, advice


class IndexExistsError(InvalidInputError):
    """The output folder exists and is not empty."""


class IndexNotFoundError(InvalidInputError):
    """The folder holds no index."""


class IndexVersionError(InvalidInputError):
    """The index has a format version that this release does not read."""


class EncoderMismatchError(InvalidInputError):
    """The encoder differs from the one that the index was built with."""


class HubError(InvalidInputError):
    """A repository of the Hugging Face Hub that cannot be read or written."""


class MissingExtraError(InvalidInputError):
    """An optional dependency is not installed; the message says which extra to install."""


class IndexCorruptError(SpladeEngineError):
    """A file of the index fails its checksum or its structure."""


class IndexLockedError(SpladeEngineError):
    """Another process holds the index's write lock."""


class StorageError(SpladeEngineError, OSError):
    """The file system refused a read or a write (disk full, read-only, gone)."""

    exit_code = 2


class ShardUnavailableError(SpladeEngineError):
    """A shard that other processes search does not answer, and a part of the hits would be missing."""


class TrainingError(SpladeEngineError):
    """A training run that cannot go on."""


_LONGEST = 300  # characters of a reason


def reason_of(error: BaseException | str) -> str:
    """What a library raised, for the end of a message: its first line, and the second where that says what.

    The name of the type where it has no words; no control characters; at most 300 characters.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2] if lines[:1] and lines[0].endswith(":") else lines[:1]) or type(error).__name__
    text = text.partition("; use sys.")[0]  # how a program may read longer numbers, which no user of one can
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


# what torch, the loader of shared libraries and the C library say where Python has MemoryError
_NO_MEMORY = (
    "can't allocate memory", "failed to map segment", "cannot allocate memory", "out of memory",
    "can't start new thread",
)  # fmt: skip


def lacks_memory(error: BaseException | None, *also: type[BaseException]) -> bool:
    """Whether there is too little memory at the root of an error: libraries wrap it in others.

    Args:
        error: the error; None for none.
        also: types that say so beside MemoryError.
    """
    while error is not None:
        if isinstance(error, (MemoryError, *also)) or (
            isinstance(error, Exception)
            and not isinstance(error, SpladeEngineError)
            and any(text in str(error).lower() for text in _NO_MEMORY)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
