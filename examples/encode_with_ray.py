"""Encode a Ray dataset with a pool of actors: pip install 'splade-engine[ray]'."""

import ray

from splade_engine.ray import Pool, encode

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
dataset = ray.data.from_items(
    [{"id": "moon", "text": "The moon pulls the sea."}, {"id": "bread", "text": "The dough rises."}]
)
for row in encode(dataset, pool=Pool(actors=1)).take_all():
    print(row["id"], len(row["terms"]), "terms")
ray.shutdown()
