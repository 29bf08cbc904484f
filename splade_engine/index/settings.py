"""The build and search settings that a manifest stores, turned back into their checked classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index.config import BuildConfig, SearchConfig
from splade_engine.index.disk.records import Manifest, Scalar


def build_config(manifest: Manifest) -> BuildConfig:
    """How the segments of this index are built.

    Raises:
        IndexCorruptError: if what is stored is no BuildConfig.
    """
    try:
        return BuildConfig(**manifest.config)
    except (TypeError, InvalidInputError) as error:
        raise IndexCorruptError(f"stored build settings: {error}") from None


def search_config(settings: Mapping[str, Scalar]) -> SearchConfig:
    """The settings of one tuning record. Their ranges bound what a search may allocate.

    Raises:
        IndexCorruptError: if what is stored is no SearchConfig.
    """
    try:
        values: dict[str, Any] = dict(settings)
        return SearchConfig(**values)
    except (TypeError, InvalidInputError) as error:
        raise IndexCorruptError(f"stored search settings: {error}") from None


def check_settings(manifest: Manifest) -> None:
    """Raises IndexCorruptError if any stored settings are not valid."""
    build_config(manifest)
    for record in manifest.tuning:
        search_config(record.settings)
