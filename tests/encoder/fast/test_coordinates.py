"""Principal coordinates bound every logit, whatever they were fitted on, and change no vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.fast import screen, vocabulary
from splade_engine.encoder.fast.coordinates import (
    AllCoordinates,
    Coordinates,
    PrincipalCoordinates,
    coordinates_for,
)
from splade_engine.encoder.fast.screen import (
    Bounds,
    Float32Bounds,
    Int8Bounds,
    ScreenedPooling,
    bounds_for,
    exact_int8,
)

WIDTH = 192
BY = [
    pytest.param(
        Int8Bounds,
        marks=pytest.mark.skipif(not exact_int8(), reason="int8 products overflow on this processor"),
    ),
    Float32Bounds,
]


def near_a_plane(count: int, rank: int, seed: int, off: float = 0.01) -> torch.Tensor:
    """float32[count, WIDTH]: states of `rank` directions around a centre, `off` away from their plane."""
    plane = torch.Generator().manual_seed(7)
    directions, center = (torch.randn(n, WIDTH, generator=plane) for n in (rank, 1))
    rng = torch.Generator().manual_seed(seed)
    inside = torch.randn(count, rank, generator=rng) @ directions
    return 3 * center + inside + off * torch.randn(count, WIDTH, generator=rng)


def fitted(sample: torch.Tensor) -> Coordinates:
    return coordinates_for(torch.full((WIDTH,), 30.0), sample)


@pytest.mark.parametrize("off", [0.0, 0.01, 5.0])
def test_products_bound_the_logits(off: float) -> None:
    """The oracle is float64; texts may leave the plane, and be larger than those of the sample."""
    coordinates = fitted(near_a_plane(600, 20, seed=1))
    assert isinstance(coordinates, PrincipalCoordinates)
    torch.manual_seed(0)
    rows = torch.randn(400, WIDTH)
    rows[0] = 0
    states = torch.cat(
        (near_a_plane(50, 20, 2, off), 100 * near_a_plane(5, 20, 3, off), torch.zeros(1, WIDTH))
    )
    short, constant = coordinates.of_rows(rows)
    bound = coordinates.of_states(states).double() @ short.double().T + constant
    exact = states.double() @ rows.double().T
    size = states.double().norm(dim=1)[:, None] * rows.double().norm(dim=1)
    assert (bound >= exact - 1e-5 * size).all()
    assert short.shape == (400, 64) and len(coordinates.range) == 64
    if off == 0.01:  # near the plane the bound is tight
        assert (bound - exact)[:50].mean() < 0.1 * exact[:50].std()


def test_what_is_not_near_a_plane_keeps_its_coordinates() -> None:
    torch.manual_seed(0)
    anywhere = torch.randn(600, WIDTH)
    assert isinstance(fitted(anywhere), AllCoordinates)
    assert isinstance(fitted(anywhere[:100]), AllCoordinates)  # fewer states than directions
    for value in (torch.nan, 1e30):  # the square of the latter is too large
        broken = near_a_plane(600, 20, seed=1)
        broken[3, 4] = value
        assert isinstance(fitted(broken), AllCoordinates)
    assert isinstance(fitted(near_a_plane(600, 20, seed=1)[:1].expand(600, -1)), PrincipalCoordinates)


@pytest.mark.parametrize("kind", BY)
@pytest.mark.parametrize("off", [0.01, 2.0])
def test_screening_in_principal_coordinates_misses_nothing(kind: Callable[..., Bounds], off: float) -> None:
    torch.manual_seed(1)
    rows, bias = torch.randn(3000, WIDTH), torch.full((3000,), -150.0)
    states, lengths = near_a_plane(60, 20, 4, off), [20, 1, 39]
    bounds = kind(rows, fitted(near_a_plane(600, 20, seed=1)))
    found = ScreenedPooling(rows, bias, bounds, torch.tensor([5]))(states, lengths)
    for (terms, logits), part in zip(found, states.split(lengths), strict=True):
        expected = (part @ rows.T).amax(0) + bias
        torch.testing.assert_close(logits, expected[terms], atol=1e-3, rtol=1e-5)
        expected[5] = -1
        positive = (expected > 0).nonzero().squeeze(1).tolist()
        assert positive and set(positive) <= set(terms.tolist())
        assert 5 not in terms.tolist()
        assert off > 1 or len(terms) < len(positive) + 150


def test_float32_bounds_allow_for_rounding() -> None:
    """Of a state in the plane the bound is nearly the logit, and must not fall below it by rounding."""
    bounds = Float32Bounds(torch.eye(WIDTH) * 1000, fitted(near_a_plane(600, 20, seed=1)))
    states = near_a_plane(40, 20, seed=2, off=0.0)
    found = bounds(states, [30, 10])
    exact = torch.stack([part.amax(0) for part in (states.double() * 1000).split([30, 10])])
    assert (found.double() >= exact).all()
    assert (found.double() - exact).max() < 5e-3 * 1000 * states.norm(dim=1).max()


def test_bounds_are_the_cheapest_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(50, WIDTH)
    short, all_of_them = fitted(near_a_plane(600, 20, seed=1)), AllCoordinates(torch.ones(WIDTH))
    monkeypatch.setattr(screen, "fast_int8", lambda: True)
    assert isinstance(bounds_for(rows, short), Int8Bounds)
    assert isinstance(bounds_for(rows, all_of_them), Int8Bounds)
    monkeypatch.setattr(screen, "fast_int8", lambda: False)
    assert isinstance(bounds_for(rows, short), Float32Bounds)
    assert bounds_for(rows, all_of_them) is None  # nothing would be spared
    assert bounds_for(rows, None) is None


@pytest.mark.parametrize("kind", BY)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_bundled_encoder_gives_the_same_vectors(
    kind: Callable[..., Bounds], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        "Sparse retrieval weighs terms, some of which the text does not hold.",
        "The liver removes drugs from the blood, which shortens their effect in mice and men.",
        "zzqx " * 40,
        "1 2 3",
    ]
    bundled = SparseEncoder.load().checkpoint
    source = replace(bundled, settings=replace(bundled.settings, min_weight=0.0))

    def vectors(bounds: Callable[..., Bounds]) -> np.ndarray:
        monkeypatch.setattr(vocabulary, "bounds_for", bounds)
        encoder = SparseEncoder(source, device="cpu", dtype=dtype)
        return encoder.encode_documents(texts).to_scipy().toarray()

    def nothing_spared(weight: torch.Tensor, coordinates: object) -> Bounds:
        return lambda states, lengths: torch.full((len(lengths), len(weight)), torch.inf)

    # products of other sizes may be summed in another order
    tolerance = 1e-5 if dtype == "float32" else 0.02
    np.testing.assert_allclose(vectors(kind), vectors(nothing_spared), atol=tolerance)
