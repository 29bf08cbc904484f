#!/usr/bin/env python3
"""The retrieval engine of a submission to lsr-benchmark: index an embedding and answer its queries."""

from splade_engine.integrations.lsr_benchmark import main

main()
