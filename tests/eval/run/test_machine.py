"""What an experiment says of the software and the machine that it ran on."""

from __future__ import annotations

from importlib import metadata

import pytest

from splade_engine import __version__
from splade_engine.eval.run.machine import machine, versions


def test_our_version_is_known_without_package_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def missing(name: str) -> str:
        if name == "splade-engine":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert versions()["splade-engine"] == __version__
    assert versions()["numpy"] == real("numpy")


def test_the_machine_has_a_processor_and_cores() -> None:
    found = machine()
    assert found["cpu"]
    assert int(found["cores"]) >= 1
