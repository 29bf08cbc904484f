"""How many documents vector instructions take at a time. Imports nothing: what reads files needs it too."""

BLOCK = 16  # documents of a block: as many 16-bit sums as one instruction adds up, and bits of a mask
LANES = 64  # sums in a step over many, and bits of a word: the documents of a group of blocks
