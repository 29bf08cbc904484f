"""numba, loaded in one place: it reads its variables then, and refuses some values while it is imported."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from typing import Any

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError, reason_of

logger = logging.getLogger(__name__)


def load() -> Any:
    """The module `numba`.

    A variable that numba cannot parse is passed over, as numba does, and logged in one line: it prints a
    traceback.

    Raises:
        InvalidInputError: a setting has a value with which numba cannot be loaded; lists the variables.
    """
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            numba = importlib.import_module("numba")
        except (ValueError, RuntimeError) as error:
            named = [f"{name}={shown(value)}" for name, value in settings().items()]
            where = f"its settings are {', '.join(named)}" if named else "look at .numba_config.yaml"
            raise InvalidInputError(f"numba cannot be loaded: {reason_of(error)} ({where})") from error
    for warning in warned:
        if "could not be parsed" in str(warning.message):
            logger.warning("%s", reason_of(str(warning.message)))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return numba


def settings() -> dict[str, str]:
    """The variables that numba reads, as they are set."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_")}


# numba is typed in parts only: as a module of its own typing, every use would need an exception
numba: Any = load()
types: Any = numba.types
