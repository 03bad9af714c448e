"""What a model's card draws: how it ranks, how sure it may be believed to be, and where it errs. SVG by hand, in the page's
colours, each with its gist in words for whoever does not see it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from web.words import plain

WIDE, HIGH = 340, 250
LEFT, RIGHT, TOP, FOOT = 46, 14, 12, 40
Points = Sequence[Sequence[float]]


class _Field:
    """The area between two axes, each from a low to a high value."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self.across, self.up = across, up

    def x(self, value: float) -> float:
        low, high = self.across
        return LEFT + (WIDE - LEFT - RIGHT) * (value - low) / ((high - low) or 1)

    def y(self, value: float) -> float:
        low, high = self.up
        return HIGH - FOOT - (HIGH - TOP - FOOT) * (value - low) / ((high - low) or 1)

    def path(self, points: Points) -> str:
        return "M" + "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)

    def axes(self, across: str, up: str) -> str:
        lines = "".join(f"M{LEFT} {self.y(tick):.1f}H{WIDE - RIGHT}" for tick in ticks(*self.up))
        sides = "".join(
            f'<text x="{LEFT - 6}" y="{self.y(tick) + 3.5:.1f}" text-anchor="end">{_tick(tick)}</text>'
            for tick in ticks(*self.up)
        )
        below = "".join(
            f'<text x="{self.x(tick):.1f}" y="{HIGH - FOOT + 14}" text-anchor="middle">{_tick(tick)}</text>'
            for tick in ticks(*self.across)
        )
        middle = (HIGH - FOOT + TOP) / 2
        return (
            f'<path class="grid" d="{lines}"/>{sides}{below}'
            f'<text x="{(LEFT + WIDE - RIGHT) / 2:.0f}" y="{HIGH - 7}" text-anchor="middle">{escape(across)}</text>'
            f'<text transform="translate(10 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
        )


def ticks(low: float, high: float) -> list[float]:
    """Three to six round values between two ends."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next((times for times in (1, 2, 5) if (high - low) / (step * times) <= 5.001), 10)
    first = math.ceil(low / step - 1e-9)
    return [place * step for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(value: float) -> str:
    return plain(float(f"{value:.10g}")).replace("-", "\N{MINUS SIGN}")


def _line(kind: str, path: str) -> str:
    return f'<path class="{kind}" d="{path}"/>'


def _plot(says: str, body: str) -> Markup:
    return Markup(  # noqa: S704  # words went through escape, all else are figures formatted here
        f'<svg class="plot" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(says)}">{body}</svg>'
    )


def roc(points: Points) -> Markup:
    """Of those that are true, the share that is found, by the share of false ones that come along."""
    field = _Field((0, 1), (0, 1))
    half = next((y for x, y in points if x >= 0.2), None)
    says = f"ROC curve. With 20 % of the false ones, {plain((half or 0) * 100)} % of the true ones are found; by chance 20 %."
    body = field.axes("false ones taken along", "true ones found")
    return _plot(
        says, f'{body}<path class="dummy" d="{field.path([(0, 0), (1, 1)])}"/><path class="value" d="{field.path(points)}"/>'
    )


def precision_recall(points: Points, share: float | None) -> Markup:
    """How many of those that are called true are, by the share of true ones found; `share` is what calling all true gives."""
    field = _Field((0, 1), (0, 1))
    half = next((y for x, y in points if x >= 0.5), None)
    says = (
        f"Precision by recall. Where half of the true ones are found, {plain((half or 0) * 100)} % of those called true are true"
    )
    says += f"; of all rows {plain(round(share * 100, 1))} % are." if share is not None else "."
    base = f'<path class="dummy" d="{field.path([(0, share), (1, share)])}"/>' if share is not None else ""
    body = field.axes("true ones found (recall)", "of those called true, are (precision)")
    return _plot(says, f'{body}{base}<path class="value" d="{field.path(points)}"/>')


def share_true(groups: Sequence[Mapping[str, Any]]) -> float | None:
    """The share of true answers among the rows of a calibration's groups."""
    rows = sum(int(one["rows"]) for one in groups)
    return sum(float(one["actual"]) * int(one["rows"]) for one in groups) / rows if rows else None


def calibration(groups: Sequence[Mapping[str, Any]]) -> Markup:
    """Whether what was called 30 % likely came true in 30 % of cases: on the dashed line it did."""
    points = [(float(one["predicted"]), float(one["actual"])) for one in groups]
    if not points:
        return Markup("")
    top = min(1.0, max(0.1, math.ceil(max(max(pair) for pair in points) * 10 + 0.2) / 10))
    field = _Field((0, top), (0, top))
    worst = max(points, key=lambda pair: abs(pair[0] - pair[1]))
    says = f"Calibration. Farthest off: where {plain(worst[0] * 100)} % was said, {plain(worst[1] * 100)} % came true."
    dots = "".join(
        f'<circle class="dot" cx="{field.x(x):.1f}" cy="{field.y(y):.1f}" r="3.4"><title>said {x:.1%}, came true {y:.1%}, '
        f"{int(one['rows'])} rows</title></circle>"
        for (x, y), one in zip(points, groups, strict=True)
    )
    body = field.axes("probability said", "share that came true")
    return _plot(
        says,
        f'{body}<path class="dummy" d="{field.path([(0, 0), (top, top)])}"/><path class="value" d="{field.path(points)}"/>{dots}',
    )


def residuals(found: Mapping[str, Any]) -> Markup:
    """How far off, in which direction, how often: actual less predicted."""
    edges, rows = [float(one) for one in found["edges"]], [int(one) for one in found["rows"]]
    if not rows or not sum(rows):
        return Markup("")
    field = _Field((edges[0], edges[-1]), (0, max(rows) * 1.05))
    floor, ends = HIGH - FOOT, [field.x(edge) for edge in edges]
    bars = "".join(
        f"M{ends[place] + 0.6:.1f} {floor}V{field.y(count):.1f}H{ends[place + 1] - 0.6:.1f}V{floor}z"
        for place, count in enumerate(rows) if count
    )  # fmt: skip
    zero = _line("dummy", f"M{field.x(0):.1f} {TOP}V{floor}") if edges[0] < 0 < edges[-1] else ""
    most = max(range(len(rows)), key=rows.__getitem__)
    says = f"Residuals of {sum(rows)} rows; most lie between {_tick(edges[most])} and {_tick(edges[most + 1])}."
    return _plot(says, f"{field.axes('actual less predicted', 'rows')}{_line('bars', bars)}{zero}")


def predicted_actual(points: Points, spread: Points) -> Markup:
    """Ten groups of rows by what was predicted: the mean of what came, and where the middle 80 % of it lay."""
    if not points:
        return Markup("")
    values = [value for pair in (*points, *spread) for value in pair]
    low, high = min(values), max(values)
    pad = (high - low) * 0.04 or 1.0
    said = [pair[0] for pair in points]
    margin = (max(said) - min(said)) * 0.06 or pad
    field = _Field((min(said) - margin, max(said) + margin), (low - pad, high + pad))
    bars = "".join(
        f"M{field.x(point[0]):.1f} {field.y(ends[0]):.1f}V{field.y(ends[1]):.1f}"
        for point, ends in zip(points, spread, strict=False)
    )
    ends = [(max(field.across[0], field.up[0]),) * 2, (min(field.across[1], field.up[1]),) * 2]
    dots = "".join(
        f'<circle class="dot" cx="{field.x(x):.1f}" cy="{field.y(y):.1f}" r="3.4"><title>predicted {_tick(x)}, came '
        f"{_tick(y)}</title></circle>"
        for x, y in points
    )
    says = f"Predicted against actual. Lowest group: {_tick(points[0][0])} said, {_tick(points[0][1])} came; "
    says += f"highest: {_tick(points[-1][0])} said, {_tick(points[-1][1])} came."
    return _plot(
        says, f'{field.axes("predicted, mean of each group", "actual")}<path class="whisker" d="{bars}"/>'
        f'<path class="dummy" d="{field.path(ends)}"/>{dots}',
    )  # fmt: skip
