"""Charts as SVG text: scatter plots, lines, histograms; the page's style sheet colours them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44
_DIGIT, _LABEL = 6.5, 22  # pixels of a tick label's character, and of the rotated label beside them


@dataclass(frozen=True)
class Point:
    """A mark of a scatter plot: a letter in a coloured disc, and a tooltip."""

    x: float
    y: float
    letter: str
    colour: int
    tip: str


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic scale over [low, high], drawn from `start` to `end` pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, log: bool = False) -> Axis:
        """With some air around the values."""
        low, high = min(values), max(values)
        if log:
            span = max(math.log10(high / low), 0.3)
            return cls(low / 10 ** (0.12 * span), high * 10 ** (0.12 * span), start, end, True)
        span = (high - low) or abs(high) or 1.0
        return cls(low - 0.1 * span, high + 0.1 * span, start, end)

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        if self.log:
            share = math.log10(value / self.low) / math.log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values within the axis."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps: tuple[tuple[float, ...], ...] = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))
            for multiples in steps:
                found = [round(10.0**p * m, 12) for p in powers for m in multiples]
                inside = [v for v in found if self.low <= v <= self.high]
                if len(inside) >= min(wanted, 3):
                    return inside
            return inside if len(inside) > 1 else Axis(self.low, self.high, 0, 1).ticks(3)
        raw = (self.high - self.low) / wanted
        power = 10 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw - 1e-12)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A tick label: no trailing zeros, thousands with k and M."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{sign}"
    return f"{value:.4g}"


def _margin(y: Axis, label: str) -> float:
    """Pixels left of the plot, so that the widest tick label stands free of the axis' own label."""
    widest = max((len(number(value)) for value in y.ticks()), default=0)
    return max(_LEFT, (_LABEL if label else 4) + _DIGIT * widest + 6)


def scatter(
    points: Sequence[Point],
    x_label: str,
    y_label: str,
) -> str:
    """Effectiveness against a cost; up and left is better."""
    width, height = size = (440, 290)
    y = Axis.over([p.y for p in points], height - _BOTTOM, _TOP)
    x = Axis.over([p.x for p in points], _margin(y, y_label), width - _RIGHT, log=True)
    marks = []
    for point in _spread(points, x, y):
        (px, py), mark = point
        marks.append(
            f'<g class="c{mark.colour % 10}"><title>{escape(mark.tip)}</title>'
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="10"/>'
            f'<text class="disc" x="{px:.1f}" y="{py + 4:.1f}">{escape(mark.letter)}</text></g>'
        )
    title = f"{y_label} against {x_label}"
    return _framed(title, size, x, y, x_label, y_label, "".join(marks))


def _spread(points: Sequence[Point], x: Axis, y: Axis) -> list[tuple[tuple[float, float], Point]]:
    """Discs that would lie on one another are moved apart sideways; their tooltips keep the true values."""
    placed: list[tuple[tuple[float, float], Point]] = []
    for point in sorted(points, key=lambda p: (p.x, p.y)):
        px, py = x(point.x), y(point.y)
        for _ in range(len(points)):
            near = next((q for q, _ in placed if math.hypot(q[0] - px, q[1] - py) < 16), None)
            if near is None:
                break
            px = near[0] + 16.5
        placed.append(((px, py), point))
    return placed


def lines(
    series: Mapping[str, Sequence[tuple[float, float, str]]],
    x_label: str,
    y_label: str,
    colours: Mapping[str, int],
) -> str:
    """One line with dots per series of (x, y, tooltip)."""
    every = [point for points in series.values() for point in points]
    width, height = size = (320, 220)
    y = Axis.over([p[1] for p in every], height - _BOTTOM, _TOP)
    x = Axis.over([p[0] for p in every], _margin(y, y_label), width - _RIGHT, log=True)
    body = []
    for name, points in series.items():
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b, _ in points)
        dots = "".join(
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5"><title>{escape(tip)}</title></circle>'
            for a, b, tip in points
        )
        body.append(f'<g class="c{colours[name] % 10}"><polyline points="{path}"/>{dots}</g>')
    return _framed(f"{y_label} against {x_label}", size, x, y, x_label, y_label, "".join(body))


def histogram(counts: Mapping[int, int], x_label: str, colour: int) -> str:
    """Bars of equal width; the keys are the lower edges of the bins."""
    edges = sorted(counts)
    step = edges[1] - edges[0] if len(edges) > 1 else 1
    width, height = size = (320, 180)
    x = Axis(edges[0], edges[-1] + step, _LEFT, width - _RIGHT)
    y = Axis(0, max(counts.values()) * 1.05, height - _BOTTOM, _TOP)
    bars = "".join(
        f'<rect x="{x(edge):.1f}" y="{y(count):.1f}" width="{max(x(edge + step) - x(edge) - 1, 0.5):.1f}" '
        f'height="{y(0) - y(count):.1f}"><title>{edge} to {edge + step - 1}: {count:,}</title></rect>'
        for edge, count in sorted(counts.items())
        if count
    )
    return _framed(
        f"histogram of {x_label}", size, x, y, x_label, "", f'<g class="c{colour % 10} bars">{bars}</g>', 3
    )


def _framed(
    title: str,
    size: tuple[int, int],
    x: Axis,
    y: Axis,
    x_label: str,
    y_label: str,
    body: str,
    y_ticks: int = 5,
) -> str:
    width, height = size
    left = x.start
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {width} {height}" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for value in y.ticks(y_ticks):
        at = y(value)
        parts.append(
            f'<line class="grid" x1="{left:.1f}" x2="{width - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{left - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{number(value)}</text>'
        )
    for value in x.ticks(max(3, width // 110)):
        at = x(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{height - _BOTTOM + 16}" text-anchor="middle">'
            f"{number(value)}</text>"
        )
    middle = (left + width - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle:.0f}" y="{height - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    if y_label:
        centre = (_TOP + height - _BOTTOM) / 2
        parts.append(
            f'<text class="label" transform="translate(12 {centre:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(y_label)}</text>"
        )
    return "".join([*parts, body, "</svg>"])
