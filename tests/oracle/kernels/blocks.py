"""Twins of kernels/blocks.py."""

from __future__ import annotations


def any_reaches(bounds, at, threshold):
    return max(bounds[at : at + 64].tolist()) >= threshold


def clear(bounds, at):
    bounds[at : at + 64] = 0
