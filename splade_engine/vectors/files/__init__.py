"""`SparseVectors` on disk, in our own format and in those of the field.

| suffix           | layout                                                                                |
|------------------|---------------------------------------------------------------------------------------|
| .arrow, .parquet | ours: columns id (string), terms (list<int32>), weights (list<float32>)               |
| .jsonl[.gz]      | {"id", "vector": {token: weight}}: Seismic (real weights) or Anserini (whole, x 100)  |
| .csr             | BigANN: int64 rows, columns, nnz; int64 indptr; int32 indices; float32 data; no ids   |

Our own layouts carry a checksum of the vectors and ids, and the fingerprint of the encoder that made them,
as JSON under the key `splade_engine` of the schema: a file that was damaged is refused, and so is another
encoder. The layouts of others have no place for either; the log says so when one is read (gzip's own checksum
covers .gz files). `splade_engine.n_terms`, a key with the number of terms alone, is read as well.

Anserini's JsonVectorCollection stores weights times 100, rounded; a weight below 0.005 is lost there.
Sources: Anserini's JsonVectorCollection, Seismic's jsonl input, big-ann-benchmarks' sparse track.
"""

from splade_engine.vectors.files.formats import Format, format_of, read_vectors, write_vectors
from splade_engine.vectors.files.json_lines import ANSERINI_SCALE
from splade_engine.vectors.files.vector_file import VectorFile

__all__ = ["ANSERINI_SCALE", "Format", "VectorFile", "format_of", "read_vectors", "write_vectors"]
