"""The CPU layers compute what torch's and transformers' own compute, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from splade_engine.training.student.cpu_layers import (
    ATTENTION,
    CpuDropout,
    CpuLinear,
    cpu_attention,
    kept,
    use_cpu_layers,
)


def gradients(out, *inputs):
    torch.manual_seed(9)
    return torch.autograd.grad(out, inputs, torch.randn(out.shape, dtype=out.dtype))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 24), (2, 5, 24), (1, 24), (0, 24)])
def test_linear(shape, bias):
    torch.manual_seed(0)
    plain = torch.nn.Linear(24, 40, bias=bias)
    ours = CpuLinear(24, 40, bias=bias)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(shape, requires_grad=True)
    torch.testing.assert_close(ours(x), plain(x))
    for a, b in zip(
        gradients(ours(x), x, *ours.parameters()), gradients(plain(x), x, *plain.parameters()), strict=True
    ):
        torch.testing.assert_close(a, b)
    assert torch.equal(ours.double()(x.double()), plain.double()(x.double()))


@pytest.mark.parametrize(
    "x",
    [torch.ones(24, 6).T, torch.ones(1, 24).expand(6, 24), torch.ones(6, 48)[:, ::2]],
    ids=["transposed", "expanded", "every other"],
)
def test_linear_of_any_strides(x):
    plain, ours = torch.nn.Linear(24, 40), CpuLinear(24, 40)
    ours.load_state_dict(plain.state_dict())
    grads = []
    for layer in (plain, ours):
        own = x.detach().requires_grad_()
        out = layer(own)
        grads.append((out.detach(), *torch.autograd.grad(out.sum(), (own, *layer.parameters()))))  # stride 0
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_linear_leaves_autocast_alone():
    ours = CpuLinear(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(torch.randn(2, 8)).dtype is torch.bfloat16


@pytest.mark.parametrize("rate", [0.1, 0.5, 1e-9, 1 - 1e-9])
def test_dropout_keeps_its_share_and_the_mean(rate):
    torch.manual_seed(0)
    keep, scale = kept(torch.Size((100, 1001)), rate)
    assert abs(float(keep.float().mean()) - (1 - rate)) < 0.005
    effective = max(1, min(65535, round(rate * 65536))) / 65536
    assert scale == pytest.approx(1 / (1 - effective))
    # neighbours, which come from one random number, are independent
    share = (keep[:, :-1] & keep[:, 1:]).float().mean()
    assert float(share) == pytest.approx((1 - rate) ** 2, abs=0.005)


def test_dropout_is_torchs_but_for_the_random_numbers():
    layer = CpuDropout(0.3)
    x = torch.randn(50, 33, requires_grad=True)
    torch.manual_seed(1)
    out = layer(x)
    mask = out != 0
    torch.testing.assert_close(out[mask], x[mask] / 0.7, rtol=1e-4, atol=0)
    torch.testing.assert_close(gradients(out, x)[0], gradients(x * mask / 0.7, x)[0], rtol=1e-4, atol=1e-6)
    torch.manual_seed(1)
    assert torch.equal(layer(x), out)  # seeded by torch's generator, which checkpoints keep
    assert not torch.equal(layer(x), out)
    assert layer.eval()(x) is x
    assert torch.equal(CpuDropout(1.0)(x), torch.zeros_like(x))


def plain_attention(q, k, v, mask, scale, keep=None, factor=1.0):
    scores = q @ k.transpose(-1, -2) * scale
    weights = torch.softmax(scores if mask is None else scores + mask, -1)
    return (weights if keep is None else weights * keep * factor) @ v


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_attention(dtype, rate, masked):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 8, dtype=dtype, requires_grad=True) for _ in range(3))
    mask = None
    if masked:
        mask = torch.zeros(2, 1, 1, 9, dtype=dtype)
        mask[1, :, :, 6:] = torch.finfo(dtype).min
    module = torch.nn.Module().train()
    torch.manual_seed(5)
    ours, weights = cpu_attention(module, q, k, v, mask, 0.4, rate)
    assert weights is None and ours.shape == (2, 9, 3, 8)
    torch.manual_seed(5)
    drawn = kept(torch.Size((2, 3, 9, 9)), rate) if rate else (None, 1.0)
    expected = plain_attention(q, k, v, mask, 0.4, *drawn).transpose(1, 2)
    loose = {"rtol": 0.05, "atol": 0.03} if dtype is torch.bfloat16 else {}
    torch.testing.assert_close(ours, expected, **loose)
    for a, b in zip(gradients(ours, q, k, v), gradients(expected, q, k, v), strict=True):
        torch.testing.assert_close(a, b, **loose)
    calm, _ = cpu_attention(module.eval(), q, k, v, mask, None, rate)
    fused = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
    torch.testing.assert_close(calm, fused, **loose)


def model(kind):
    import transformers

    torch.manual_seed(0)
    sizes = {"vocab_size": 90, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if kind == "DistilBert":
        config = transformers.DistilBertConfig(
            vocab_size=90, dim=32, n_layers=2, n_heads=4, hidden_dim=48, dropout=0.0, attention_dropout=0.0
        )
    elif kind == "Mistral":
        config = transformers.MistralConfig(
            vocab_size=90,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=48,
        )
        return transformers.MistralForCausalLM(config)
    else:
        config = getattr(transformers, f"{kind}Config")(
            **sizes, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48
        )
    return getattr(transformers, f"{kind}ForMaskedLM")(config)


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "Roberta", "Electra", "Mistral"])
@pytest.mark.parametrize("autocast", [False, True])
def test_whole_models(kind, autocast, tmp_path):
    plain, ours = model(kind).train(), model(kind).train()
    names = [name for name, _ in ours.named_parameters()]
    use_cpu_layers(ours)
    assert [name for name, _ in ours.named_parameters()] == names
    assert not any(type(m) in (torch.nn.Linear, torch.nn.Dropout) for m in ours.modules())
    assert (ours.config._attn_implementation == ATTENTION) == (kind != "Mistral")
    ids = torch.randint(5, 90, (3, 11), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    found = []
    for each in (plain, ours):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = each(input_ids=ids, attention_mask=mask).logits.float()
        logits[mask.bool()].square().sum().backward()
        found.append((logits[mask.bool()].detach(), {n: p.grad for n, p in each.named_parameters()}))
    (a, grads), (b, ours_grads) = found
    rough = {"rtol": 0.1, "atol": 0.05 * float(a.abs().max())} if autocast else {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(b, a, **rough)
    for name, grad in grads.items():
        if grad is not None and not autocast:
            torch.testing.assert_close(ours_grads[name], grad, rtol=1e-3, atol=1e-4, msg=name)
    ours.save_pretrained(tmp_path)
    assert ATTENTION not in (tmp_path / "config.json").read_text()
