"""`splade-engine onnx`: an encoder as a folder that onnxruntime runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.targets import refuse_existing


def run(
    folder: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    encoder: options.Encoder = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that is there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write an encoder as an ONNX folder, for machines without torch (extra `onnx`).

    Masked language models can be exported, the bundled encoder among them. Weights are those of float32
    within 1e-3, which is checked before the folder appears. Wherever an encoder can be named, the folder can.

    \b
    Examples:
      splade-engine onnx -o bundled-onnx
      splade-engine index corpus.jsonl -o my-index --encoder bundled-onnx
    """
    refuse_existing(folder, overwrite, mark="model.onnx")
    loaded = options.load_encoder(encoder, device="cpu")
    loaded.export_onnx(folder, overwrite=overwrite)
    size = sum(path.stat().st_size for path in folder.iterdir())
    if as_json:
        output.write_json({"path": str(folder), "bytes": size, "encoder": loaded.name})
    else:
        output.write(f"{folder}: {loaded.name} as ONNX ({output.megabytes(size)})")
