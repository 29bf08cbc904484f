"""The kinds of checkpoints, one file each (the papers behind them in brackets).

mlm      a masked language model pooled over its tokens: SPLADE, SPLADE++, Efficient-SPLADE [2107.05720,
         2109.10086], OpenSearch doc-v1/v2/v3 beside an idf.json [2411.04403, 2504.14839]
csr      a dense embedding through a k-sparse autoencoder [2503.01776]
echo     a causal language model that reads its input twice and pools the second copy [2408.11119]
bge-m3   one weight per input token by a linear layer over XLM-RoBERTa's states [2402.03216]
onnx     any mlm as one ONNX graph, run by onnxruntime
scalar   one weight per input token, no expansion: uniCOIL [2106.14807], DeepImpact [2104.12016]
"""

from __future__ import annotations

from splade_engine.encoder.kind import Kind
from splade_engine.encoder.kinds.bge_m3 import BgeM3
from splade_engine.encoder.kinds.csr import Csr
from splade_engine.encoder.kinds.echo import Echo
from splade_engine.encoder.kinds.mlm import MaskedLm
from splade_engine.encoder.kinds.onnx import Onnx
from splade_engine.encoder.kinds.scalar import Scalar

# in the order in which a folder is asked: heads that say what they are first, architectures after them
KINDS: tuple[type[Kind], ...] = (BgeM3, Scalar, Echo, Csr, Onnx, MaskedLm)

__all__ = ["KINDS", "BgeM3", "Csr", "Echo", "Kind", "MaskedLm", "Onnx", "Scalar"]
