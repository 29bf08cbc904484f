"""Offers of another protocol are left out of a head, and nothing else is."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from splade_engine.server.upgrades import Offers

HEAD = b"POST /search HTTP/1.1\r\n%sUpgrade-Insecure-Requests: 1\r\n%sUp: g\r\n%s\r\n"
SENT = HEAD % (b"Upgrade: h2c\r\n", b"UPGRADE:\r\nupgrade: websocket\r\n", b"Upgrade: h2c\r\n")
BODY = b'{"query": "upgrade: ",\n"upgrade": 1,\n  "upgrades": []\n}'


@pytest.mark.parametrize("seed", range(20))
def test_wherever_a_head_is_cut(seed):
    draw = random.Random(seed)
    sent, offers, handed_on = SENT + BODY, Offers(), b""
    for _ in range(2):  # of one connection
        cuts = [0, *sorted(draw.sample(range(1, len(sent)), draw.randrange(12))), len(sent)]
        for start, end in pairwise(cuts):
            handed_on += offers.without(sent[start:end])
    assert handed_on == 2 * (HEAD % (b"", b"", b"") + BODY)
