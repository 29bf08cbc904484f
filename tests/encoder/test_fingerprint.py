"""Two encoders that give different vectors have different fingerprints, whatever makes them differ.

For every layout and kind that loads, every file and every setting is altered, one at a time. Whether vectors
change decides what the fingerprint has to do: change with them, or stay.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine import SearchEngine
from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.settings import SETTING_NAMES
from splade_engine.engine.encoder_record import check_encoder, encoder_record
from splade_engine.errors import CheckpointError, EncoderMismatchError
from splade_engine.vectors import read_vectors
from splade_engine.vectors.files.formats import store_vectors
from tests.encoder import zoo
from tests.encoder.made import WORDS, random_texts
from tests.encoder.zoo import ZOO, edit

TEXTS = [*random_texts(5, seed=11), " ".join(WORDS[:70]), " ".join(WORDS[:9] * 4).upper()]


def look(folder: Path, **options: Any) -> tuple[str, bytes]:
    """The hash, and the bytes of documents and queries."""
    encoder = SparseEncoder.load(folder, device="cpu", dtype="float32", **options)
    sides = (encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS))
    vectors = b"".join(a.tobytes() for v in sides for a in (v.indptr, v.terms, v.weights))
    hashed = encoder.fingerprint()["hash"]
    assert isinstance(hashed, str)
    return hashed, vectors


def scale_tensors(path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    changed = {}
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f":
            changed[name] = (tensor * 1.5 + 0.01).astype(tensor.dtype)
        else:
            changed[name] = tensor[::-1].copy()
    save_file(changed, path, metadata={"format": "pt"})


def scale_pickle(path: Path) -> None:
    import torch

    state = torch.load(path, weights_only=True)  # noqa: TID251  a file of this test
    torch.save({name: tensor * 1.5 + 0.01 for name, tensor in state.items()}, path)


def swap_words(path: Path) -> None:
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    a, b = WORDS[0], WORDS[5]
    vocabulary[a], vocabulary[b] = vocabulary[b], vocabulary[a]
    path.write_text(json.dumps(tokenizer))


def swap_lines(path: Path) -> None:
    lines = path.read_text().split("\n")
    lines[6], lines[9] = lines[9], lines[6]
    path.write_text("\n".join(lines))


def reweigh(path: Path) -> None:
    if path.suffix == ".json":
        edit(path, **{WORDS[0]: 0.125, WORDS[1]: 0.25})
    else:
        path.write_text(path.read_text().replace(f"{WORDS[0]}\t", f"{WORDS[0]}\t1"))


def fewer_neighbours(path: Path) -> None:
    found = read_vectors(path)
    assert found.ids is not None
    store_vectors(path, replace(found, vectors=found.vectors[:20], ids=found.ids[:20]))


def setting(**values: Any) -> Callable[[Path], None]:
    return lambda path: edit(path, **values)


def in_section(path: Path, name: str, value: Any) -> None:
    section = json.loads(path.read_text())["splade_engine"]
    edit(path, splade_engine={**section, name: value})


# of our section: a value that is not the one of the zoo
OTHER_SETTINGS: dict[str, Any] = {
    "max_length": 12, "query_max_length": 6, "pooling": "sum", "activation": "relu",
    "special_tokens": "keep", "top_k": 7, "min_weight": 0.9, "long_texts": "cut",
    "document_prompt": "kime ", "query_prompt": "lume ", "lowercase": False, "query_counts": False,
    "query_top_k": 2, "sparsemax_mass": 0.5, "phrase_terms": "pairs", "phrase_buckets": 512,
    "phrase_factor": 2.0,
}  # fmt: skip

NOT_ALONE = {
    "sparsemax_mass": ("activation", "sparsemax"),
    "phrase_buckets": ("phrase_terms", "pairs"),
    "phrase_factor": ("phrase_terms", "pairs"),
}

OTHER_CONFIGS: dict[str, list[dict[str, Any]]] = {
    "1_SpladePooling": [{"pooling_strategy": "sum"}, {"activation_function": "log1p_relu"}],
    "document_1_SpladePooling": [{"pooling_strategy": "sum"}, {"activation_function": "log1p_relu"}],
    "query_1_SpladePooling": [{"pooling_strategy": "sum"}, {"activation_function": "log1p_relu"}],
    "1_Pooling": [{"pooling_mode": "cls"}, {"pooling_mode": "max"}, {"pooling_mode": "lasttoken"}],
    "3_SparseAutoEncoder": [{"k": 5}, {"normalize": True}],
}
# files whose alteration breaks the model, or that hold what another file decides
KNOWN = {"modules.json", "router_config.json", "config.json", "model.safetensors.index.json"}
KNOWN |= {"generation_config.json", "special_tokens_map.json"}
# files of no vectors
NOTHING = {"README.md", "LICENSE", ".gitattributes", "training_args.json"}


def alterations(folder: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Every file of a model, and what to do to it; several for files that hold several settings."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        file = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            yield file, scale_tensors
        elif path.suffix == ".pt":
            yield file, scale_pickle
        elif path.name == "tokenizer.json":
            yield file, swap_words
        elif path.name == "vocab.txt":
            yield file, swap_lines
        elif path.name in ("idf.json", "query_token_weights.txt"):
            yield file, reweigh
        elif path.name == "sentence_bert_config.json":
            yield file, setting(do_lower_case=True)
            yield file, setting(max_seq_length=9)
        elif path.name == "tokenizer_config.json":
            yield file, setting(truncation_side="left")
            yield file, setting(do_lower_case=False)
            yield file, setting(model_max_length=11)
        elif path.name == "config_sentence_transformers.json":
            yield file, setting(prompts={"query": "kime ", "document": "lume "})
            yield file, setting(max_active_dims=3)
            yield file, setting(splade_engine={"min_weight": 0.9})
        elif path.parent.name in OTHER_CONFIGS:
            for values in OTHER_CONFIGS[path.parent.name]:
                yield file, setting(**values)
        elif path.name == "config.json" and "architectures" in json.loads(path.read_text()):
            yield file, setting(layer_norm_eps=0.3, rms_norm_eps=0.3)
            yield file, setting(_name_or_path="elsewhere", transformers_version="0")
        elif path.name == "neighbours.json":
            yield file, setting(count=2)
            yield file, setting(share=0.5)
            yield file, setting(least=0.6)
        elif path.name == "neighbours.arrow":
            yield file, fewer_neighbours
        elif path.name in NOTHING:
            yield file, lambda p: p.write_text("other\n") and None
        else:
            assert path.name in KNOWN, f"{file}: what does it decide?"


@pytest.mark.parametrize("name", ZOO)
def test_a_fingerprint_changes_with_the_vectors(name: str, tmp_path: Path) -> None:
    folder = zoo.make(name, tmp_path / "model")
    for nothing in NOTHING:
        (folder / nothing).write_text("[]\n")
    before = look(folder)
    copy = tmp_path / "another name"
    shutil.copytree(folder, copy)
    assert look(copy) == before, "where a model lies decides nothing"
    effective = set()
    for n, (file, change) in enumerate(alterations(folder)):
        altered = tmp_path / f"altered-{n}"
        shutil.copytree(folder, altered)
        change(altered / file)
        try:
            after = look(altered)
        except CheckpointError as error:  # neighbours of another encoder; sides whose words are others
            beside = altered.resolve() != (altered / file).parent.resolve()
            adapted = name == "adapted" and "vectors of another encoder" in str(error)
            assert adapted or (change is swap_words and beside and "for queries and" in str(error))
            continue
        assert after[1] == before[1] or after[0] != before[0], f"{file}: other vectors, same fingerprint"
        if Path(file).name in NOTHING:
            assert after == before, file
        if after[1] != before[1]:
            effective.add(Path(file).suffix)
        shutil.rmtree(altered)
    assert ".json" in effective and (".safetensors" in effective or name == "adapted")


def test_every_setting_of_our_section(tmp_path: Path) -> None:
    assert set(OTHER_SETTINGS) == set(SETTING_NAMES), "a new setting is to be altered here"
    folder = zoo.make("ours", tmp_path / "model")
    # texts in capitals for a tokenizer that keeps case: lower-casing is seen
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    seen = {look(folder)}
    for name, value in OTHER_SETTINGS.items():
        altered = tmp_path / name
        shutil.copytree(folder, altered)
        if name == "pooling":
            in_section(altered / "config.json", "long_texts", "cut")
        if name == "query_prompt":  # a table does without
            in_section(altered / "config.json", "query_weights", None)
            seen.add(look(altered))
        if name in NOT_ALONE:  # without the other it means nothing, and earlier releases have none
            in_section(altered / "config.json", name, value)
            assert look(altered) in seen
            in_section(altered / "config.json", name, None)
            in_section(altered / "config.json", *NOT_ALONE[name])
            seen.add(look(altered))
        in_section(altered / "config.json", name, value)
        found = look(altered)
        assert found[0] not in {h for h, _ in seen}, name
        assert found[1] not in {v for _, v in seen}, f"{name}: the test does not see it"
        seen.add(found)


def test_what_is_given_at_loading_counts(tmp_path: Path) -> None:
    folder = zoo.make("mlm", tmp_path / "model")
    hashes = {look(folder)[0], look(folder, max_length=9)[0], look(folder, long_texts="windows")[0]}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("pair", "query/tokenizer_config.json", {"model_max_length": 8}),
        ("st-pair", "query_0_MLMTransformer/tokenizer_config.json", {"model_max_length": 8}),
        ("st-static", "query_0_SparseStaticEmbedding/tokenizer_config.json", {"model_max_length": 8}),
        ("st-mlm", "sentence_bert_config.json", {"query_length": 8}),
    ],
)
def test_an_index_loads_an_encoder_whose_queries_have_a_limit_of_their_own(
    name: str, file: str, said: dict[str, Any], tmp_path: Path
) -> None:
    """An index remembers one limit. Queries were cut there too, and it refused its own encoder."""
    folder = zoo.make(name, tmp_path / "model")
    edit(folder / file, **said)
    text = " ".join(WORDS[:30])
    for length in (None, 20):
        encoder = SparseEncoder.load(folder, device="cpu", dtype="float32", max_length=length)
        at = tmp_path / f"index-{length}"
        SearchEngine.build(at, [{"id": "a", "text": text}], encoder)
        opened = SearchEngine.open(at).encoder
        assert opened.fingerprint() == encoder.fingerprint()
        few = SparseEncoder.load(folder, device="cpu", dtype="float32", max_length=8)
        assert encoder.encode_queries([text]).to_dicts() == few.encode_queries([text]).to_dicts()


@pytest.mark.parametrize("name", ["st-ours", "st-csr", "st-cased", "mlm-vocab-txt"])
def test_an_index_refuses_the_altered_encoder(name: str, tmp_path: Path) -> None:
    folder = zoo.make(name, tmp_path / "model")
    record = encoder_record(SparseEncoder.load(folder))
    check_encoder(tmp_path, record, SparseEncoder.load(folder), int(record["n_terms"]))
    change: dict[str, tuple[str, Callable[[Path], None]]] = {
        "st-ours": ("dense_head.safetensors", scale_tensors),
        "st-csr": ("1_Pooling/config.json", setting(pooling_mode="cls")),
        "st-cased": ("sentence_bert_config.json", setting(do_lower_case=True)),
        "mlm-vocab-txt": ("tokenizer_config.json", setting(do_lower_case=False)),
    }
    file, alter = change[name]
    alter(folder / file)
    with pytest.raises(EncoderMismatchError, match="another encoder"):
        check_encoder(tmp_path, record, SparseEncoder.load(folder), int(record["n_terms"]))


def test_a_record_of_an_earlier_release_is_verified_as_far_as_it_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = zoo.make("st-cased", tmp_path / "model")
    encoder = SparseEncoder.load(folder)
    record = {**encoder.fingerprint_1(), "source": str(folder)}
    assert "version" not in record and record["hash"] != encoder.fingerprint()["hash"]
    check_encoder(tmp_path, record, encoder, encoder.n_terms)
    assert len(caplog.records) == 1 and "cannot be verified" in caplog.text
    edit(folder / "sentence_bert_config.json", do_lower_case=True)  # what it cannot see
    check_encoder(tmp_path, record, SparseEncoder.load(folder), encoder.n_terms)
    scale_tensors(folder / "model.safetensors")  # what it can
    with pytest.raises(EncoderMismatchError, match="hash"):
        check_encoder(tmp_path, record, SparseEncoder.load(folder), encoder.n_terms)


def test_hashes_of_earlier_releases_are_reproduced() -> None:
    """The bundled encoder's, as the release before this one wrote it into indexes."""
    record = SparseEncoder.load().fingerprint_1()
    assert record["hash"] == "1ff3e550d34e875d792757c5b809d8b3"
    assert np.isscalar(record["n_terms"]) and "version" not in record


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "camembert", "bert"])
def test_models_whose_positions_are_counted_otherwise_than_before(model_type: str, tmp_path: Path) -> None:
    """A text with a literal `<pad>` has other vectors than a development version of 0.2.0 gave it."""
    from splade_engine.encoder import fingerprint

    folder = zoo.make("mlm", tmp_path / "model")
    edit(folder / "config.json", model_type=model_type, architectures=None)
    parts = dict(fingerprint._folder(folder, str))
    assert parts.get("positions") == (None if model_type == "bert" else "counted")
