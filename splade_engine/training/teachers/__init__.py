"""What a student learns from: dense models, sparse models, BM25."""
