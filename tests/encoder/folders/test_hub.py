from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from splade_engine.encoder.folders import hub
from splade_engine.errors import CheckpointError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection is an error, so that a test shows that none was tried."""
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_folder_never_touches_the_network(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert hub.resolve(str(tmp_path / "model")) == (tmp_path / "model", "model")


def test_offline_hub_id_that_is_not_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"someone/some-model.*HF_HUB_OFFLINE"):
        hub.resolve("someone/some-model")


def test_cached_snapshot_is_found_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def snapshot(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return "/cache/snapshot"

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert hub.resolve("someone/some-model", "v2") == (Path("/cache/snapshot"), "someone/some-model")
    assert asked["local_files_only"] is True
    assert asked["revision"] == "v2"
    patterns = asked["allow_patterns"]
    assert isinstance(patterns, list)
    pickles = [p for p in patterns if p.endswith((".bin", ".pt", ".py", ".pkl"))]
    assert pickles == ["sparse_linear.pt"], "read by `torch_file.py`, which runs nothing"


@pytest.mark.parametrize(
    "source", ["./nowhere", "/nowhere/at/all", "a/b/c", "with space", "", Path("nowhere")]
)
def test_neither_folder_nor_hub_id(source: str | Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        hub.resolve(source)


def test_no_bundled_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "MODELS", tmp_path)
    with pytest.raises(CheckpointError, match="no bundled model"):
        hub.resolve(None)


def test_query_half_of_an_efficient_splade_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: f"/cache/{name}")
    assert hub.query_half("naver/efficient-splade-V-large-doc") == Path(
        "/cache/naver/efficient-splade-V-large-query"
    )
    assert hub.query_half("opensearch-project/opensearch-neural-sparse-encoding-doc-v1") is None


@pytest.mark.parametrize("name", sorted(hub.BUNDLED_NAMES))
def test_names_of_the_bundled_encoders(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    size = "tiny" if "tiny" in name else "default"
    monkeypatch.chdir(tmp_path)
    assert hub.resolve(name) == (hub.MODELS / size, f"splade-engine-{size}")
    assert not caplog.messages
    (tmp_path / name).mkdir()
    assert hub.resolve(name) == (hub.MODELS / size, f"splade-engine-{size}")
    assert caplog.messages == [f"{name}: the bundled encoder, not the folder, which is ./{name}"]
    assert (hub.resolve(None) == hub.resolve(name)) == (size == "default")
    assert not hub.is_hub_id(name)
    assert hub.resolve(f"./{name}") == (Path(f"./{name}"), name)  # a folder of that name
    assert hub.resolve(Path(name)) == (Path(name), name)
    assert hub.bundled_size(hub.MODELS / size) == size and hub.bundled_size(tmp_path / name) is None


def test_a_folder_that_a_killed_writer_had_moved_aside_is_found(mlm_folder: Path, tmp_path: Path) -> None:
    """Where two names cannot be exchanged, a model that is replaced is gone for a moment."""
    from splade_engine.files import leftovers

    dead = 2**22 + 1  # more than any process has
    (tmp_path / "any").touch()
    aside = tmp_path / f".m.{leftovers._host()}-{dead}-0.old"
    shutil.copytree(mlm_folder, aside)
    assert hub.resolve(tmp_path / "m") == (tmp_path / "m", "m")
    assert not aside.exists()
