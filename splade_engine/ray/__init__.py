"""Encoding, building and serving on a Ray cluster: `encode`, `encode_parts`, `build`, `application`.

Needs the extra `ray`.

Ray pays where one machine is not enough. Starting a cluster takes seconds, and on a single machine one
process always encodes faster; docs/scale.md has the figures.
"""

from splade_engine.ray.building import build
from splade_engine.ray.cluster import Pool
from splade_engine.ray.encoding import encode
from splade_engine.ray.parts_encoding import encode_parts
from splade_engine.ray.serving import Deployed, application, opened_collection, serve

__all__ = ["Deployed", "Pool", "application", "build", "encode", "encode_parts", "opened_collection", "serve"]
