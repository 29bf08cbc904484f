"""Teachers that score a batch while it is trained on: dense, sparse and lexical ones, cross-encoders.

A teacher is called with the texts of a batch, n queries and m documents, and returns float32[n, m]. Names in
a recipe (`loss.teachers`):

    dense:FOLDER-OR-HUB-ID    cosine of a sentence encoder (mean or [CLS] pooling, as its folder says)
    sparse:FOLDER-OR-HUB-ID   dot product of a sparse encoder, or of the bundled one: `sparse:default`
    cross:FOLDER-OR-HUB-ID    a cross-encoder's score, of a query's own documents alone where only these count
    bm25                      BM25 over stemmed words, idf counted on the training documents

The scales differ; `distillation.ensemble` makes them comparable.
"""
