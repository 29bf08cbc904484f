"""The table of long tests: every row can be run, and the script prints what came of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import TIERS

TORTURE = Path(__file__).parents[1] / "scripts" / "torture"


def torture(*arguments):
    command = [sys.executable, str(TORTURE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_names_are_unique():
    assert len({tier.name for tier in TIERS}) == len(TIERS)


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_each_tier_is_a_function_of_a_count_and_a_seed(tier):
    assert callable(tier.load())
    assert tier.count >= 1


def test_the_table_that_is_printed():
    result = torture("manifests", "--share", 0.001, "--seed", 7)
    assert result.returncode == 0, result.stderr
    seed, header, row = result.stdout.splitlines()
    assert seed == "seed 7"
    assert header.split() == ["tier", "what", "trials", "losses", "seconds", "outcomes"]
    assert row.split()[0] == "manifests"
    assert "     100       0  " in row
    assert " refused" in row


def test_the_list_and_an_unknown_name():
    listed = torture("--list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [tier.name for tier in TIERS]
    result = torture("nothing")
    assert result.returncode == 2
    assert "no such tier: nothing" in result.stderr
