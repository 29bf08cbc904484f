"""`Place`: device and precision of a model, chosen or resolved from `auto`."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from splade_engine.errors import InvalidInputError


@dataclass(frozen=True)
class Place:
    """Where and how exactly a model computes."""

    device: torch.device
    # of states, and of every product but those of `int8`
    dtype: torch.dtype
    # whether the layers of a BERT-like model multiply in int8
    int8: bool = False


def choose_place(device: str, dtype: str) -> Place:
    """Resolve `auto`.

    `device="auto"` takes CUDA, then Apple's GPU, then the processor. `dtype="auto"` is bfloat16 where the
    processor multiplies it natively (AVX512-BF16 or AMX; elsewhere it would be slower than float32), bfloat16
    or float16 on a GPU. `dtype="int8"` is for the processor, so `auto` is the processor there; whatever is
    not multiplied in int8 is in the precision of `auto`.

    Raises:
        InvalidInputError: for a name that torch does not know, and for int8 where it is not to be had.
    """
    if device == "auto" and dtype == "int8":
        device = "cpu"
    if device == "auto":
        device = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        where = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        raise InvalidInputError(f"device {device!r}: expected auto, cpu, cuda, cuda:<n> or mps") from None
    if where.type not in ("cpu", "cuda", "mps"):
        raise InvalidInputError(f"device {device!r}: expected auto, cpu, cuda, cuda:<n> or mps")
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise InvalidInputError(
            f"device {device!r}: this torch sees {torch.cuda.device_count()} CUDA devices"
        )
    if where.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidInputError(f"device {device!r}: this machine has no such device")
    if dtype == "int8":
        _check_int8(where)
    if dtype in ("auto", "int8"):
        return Place(where, _fastest(where), int8=dtype == "int8")
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise InvalidInputError(f"dtype {dtype!r}: expected auto, {', '.join(known)}, int8")
    return Place(where, known[dtype])


def _fastest(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and native_bfloat16():
        return torch.bfloat16
    return torch.float32


def _check_int8(device: torch.device) -> None:
    from splade_engine.encoder.fast.int8 import has_int8_layers

    if device.type != "cpu":
        raise InvalidInputError(f"dtype 'int8': is for the processor, not for device {str(device)!r}")
    if not has_int8_layers():
        raise InvalidInputError(
            "dtype 'int8': needs a processor with AVX512-VNNI or AMX, and a torch with oneDNN's int8 layers "
            f"(this is torch {torch.__version__})"
        )


def native_bfloat16() -> bool:
    """Whether the processor has instructions that multiply bfloat16."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # torch >= 2.10
    if capabilities:
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def threads(place: Place) -> int:
    """Batches that may run at the same time: a thread each on a processor, one on any other device."""
    return torch.get_num_threads() if place.device.type == "cpu" else 1
