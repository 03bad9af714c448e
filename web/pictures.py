"""Small pictures beside figures: a column's distribution, a rule's history, a feature's drift. SVG by hand, a path for each part,
so that forty of them fit on a page."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from markupsafe import Markup, escape

from domain.drift import SHIFTED, is_shift
from web.answers import DriftFigure, RuleNight
from web.words import figure, part, plain

WIDE, HIGH, FOOT = 208, 56, 15
NOTED = 0.1  # below it, the population stability index is customarily nothing to speak of; `domain.drift` has the other line


def _svg(kind: str, says: str, body: str, *, high: int = HIGH + FOOT) -> Markup:
    return Markup(  # noqa: S704  # words went through escape, all else are figures formatted here
        f'<svg class="small {kind}" viewBox="0 0 {WIDE} {high}" role="img" aria-label="{escape(says)}">{body}</svg>'
    )


def _text(x: float, text: str, *, anchor: str = "start", y: float = HIGH + 12) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def distribution(
    picture: Mapping[str, Any], bounds: tuple[float | None, float | None] = (None, None), zone: tzinfo = UTC
) -> Markup:
    """How a column was distributed; for figures, with the limits that the rule draws. Empty when nothing was counted."""
    if picture.get("kind") == "value":
        return _values(picture)
    counts = [int(one) for one in picture.get("counts") or []]
    low, high = picture.get("low"), picture.get("high")
    if len(counts) < 3 or low is None or high is None:
        return Markup("")
    words = _moment_words(zone, span=float(high) - float(low)) if picture.get("kind") == "moment" else plain
    step, most = WIDE / len(counts), max(counts) or 1
    bars = "".join(
        f"M{place * step + 0.75:.1f} {HIGH}v-{max(1.0, count / most * (HIGH - 6)):.1f}h{step - 1.5:.1f}V{HIGH}z"
        for place, count in enumerate(counts) if count
    )  # fmt: skip
    lines, names = _limits(bounds, low=float(low), high=float(high), bins=len(counts))
    ends = _text(step, words(low)) + _text(WIDE - step, words(high), anchor="end")
    said = f"Between {words(low)} and {words(high)}, but for {_outside(counts, picture)}{names}"
    return _svg("dist", said, f'<path class="bars" d="{bars}"/><path class="base" d="M0 {HIGH}H{WIDE}"/>{lines}{ends}')


def _outside(counts: Sequence[int], picture: Mapping[str, Any]) -> str:
    empty = f", {int(picture.get('empty') or 0)} empty" if picture.get("empty") else ""
    return f"{counts[0] + counts[-1]} of {sum(counts)} rows{empty}."


def _limits(bounds: tuple[float | None, float | None], *, low: float, high: float, bins: int) -> tuple[str, str]:
    """The lines of the limits that lie near enough to be drawn, and all of them in words."""
    step, span = WIDE / bins, (high - low) or 1.0
    places = [(one, step + (one - low) / span * (WIDE - 2 * step)) for one in bounds if one is not None]
    drawn = "".join(f"M{x:.1f} 0V{HIGH}" for _, x in places if 0 <= x <= WIDE)
    words = " Limits: " + " and ".join(plain(one) for one, _ in places) + "." if places else ""
    return (f'<path class="limit" d="{drawn}"/>' if drawn else ""), words


def _moment_words(zone: tzinfo, *, span: float) -> Any:
    pattern = "%m-%d %H:%M" if span < 40 * 86_400 else "%Y-%m-%d"

    def words(seconds: float) -> str:
        try:
            return datetime.fromtimestamp(seconds, zone).strftime(pattern)
        except (ValueError, OverflowError, OSError):
            return plain(seconds)

    return words


def _values(picture: Mapping[str, Any]) -> Markup:
    """The most frequent values as lines, the rest as one."""
    shown = [(str(value), int(rows)) for value, rows in (picture.get("values") or [])[:5]]
    others = int(picture.get("rows") or 0) - int(picture.get("empty") or 0) - sum(rows for _, rows in shown)
    lines = [*shown, *([(f"{int(picture.get('distinct') or 0) - len(shown)} others", others)] if others > 0 else [])]
    lines += [("empty", int(picture["empty"]))] if picture.get("empty") else []
    if not lines:
        return Markup("")
    most, high = max(rows for _, rows in lines), 14 * len(lines)
    parts = []
    for place, (name, rows) in enumerate(lines):
        y, long = 14 * place, rows / (most or 1) * 78
        short = name if len(name) <= 13 else f"{name[:12]}…"
        parts.append(f'<path class="bars" d="M84 {y + 3}h{max(1.0, long):.1f}v8h-{max(1.0, long):.1f}z"/>')
        parts.append(_text(80, short, anchor="end", y=y + 11) + _text(min(90 + long, 170), plain(rows), y=y + 11))
    said = ", ".join(f"{name} {rows}" for name, rows in lines)
    return _svg("vals", f"Rows by value: {said}.", "".join(parts), high=high)


def history(nights: Sequence[RuleNight], *, percent: bool) -> Markup:
    """One rule over its last nights with its limits, in percent of failing rows or as measured; empty without figures."""
    points = [(place, one) for place, one in enumerate(nights) if one.value is not None]
    if not points:
        return Markup("")
    values = [v for _, one in points for v in (one.value, one.low, one.high) if v is not None]
    low, high = (0.0 if percent else min(values)), max(values)
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = (low if percent else low - pad), high + pad

    def at(place: int, value: float) -> str:
        return f"{_across(place, len(nights)):.1f} {HIGH - (value - low) / (high - low) * (HIGH - 4):.1f}"

    line = _joined(at(place, one.value) for place, one in points if one.value is not None)
    limits = "".join(
        f'<path class="limit" d="{_joined(at(p, v) for p, v in side)}"/>'
        for side in ([(p, one.low) for p, one in points if one.low is not None],
                     [(p, one.high) for p, one in points if one.high is not None]) if side
    )  # fmt: skip
    bad = "".join(f"M{at(p, one.value or 0)}m-3-3l6 6m0-6l-6 6" for p, one in points if one.state in ("failed", "error"))
    last = points[-1]
    words = (lambda v: part(v / 100)) if percent else plain
    said = f"{len(points)} nights, newest {words(last[1].value or 0)}, limit {_limit_words(last[1], words)}."
    body = f'{limits}<path class="line" d="{line}"/><path class="dot" d="M{at(last[0], last[1].value or 0)}h0"/>'
    cross = f'<path class="bad" d="{bad}"/>' if bad else ""
    ends = _text(0, nights[0].night[5:] or nights[0].night) + _text(WIDE, nights[-1].night[5:] or nights[-1].night, anchor="end")
    return _svg("hist", said, f'<path class="base" d="M0 {HIGH}H{WIDE}"/>{body}{cross}{ends}')


def _limit_words(night: RuleNight, words: Any) -> str:
    return " to ".join(words(one) for one in (night.low, night.high) if one is not None) or "none that can be drawn"


def _across(place: int, steps: int) -> float:
    return WIDE / 2 if steps < 2 else 3 + (WIDE - 6) * place / (steps - 1)


def _joined(points: Any) -> str:
    """A path through points; of one point a short stroke, so that it is seen."""
    found = list(points)
    return f"M{found[0]}h.1" if len(found) == 1 else "M" + "L".join(found)


def drift(figures: Sequence[DriftFigure], nights: Sequence[str]) -> Markup:
    """One feature's stability index night by night, under the two lines by which it is read. What is far above is cut off."""
    places = {night: place for place, night in enumerate(nights)}
    shown = [one for one in figures if one.night in places and math.isfinite(one.psi)]
    if not shown:
        return Markup("")
    points = [(places[one.night], one.psi) for one in shown]
    top = min(1.0, max(0.3, *(psi for _, psi in points)))

    def at(place: int, psi: float) -> str:
        return f"{_across(place, len(nights)):.1f} {HIGH - min(psi, top) / top * (HIGH - 6):.1f}"

    lines = "".join(f'<path class="{kind}" d="M0 {HIGH - value / top * (HIGH - 6):.1f}H{WIDE}"/>'
                    for kind, value in (("noted", NOTED), ("limit", SHIFTED)))  # fmt: skip
    over = "".join(f"M{at(place, psi)}m-3-3l6 6m0-6l-6 6" for (place, psi), one in zip(points, shown, strict=True)
                   if is_shift(psi, rows=one.rows))  # fmt: skip
    most = max(psi for _, psi in points)
    said = f"{len(points)} nights, newest {figure(points[-1][1])}, largest {figure(most)}."
    body = f'<path class="line" d="{_joined(at(*one) for one in points)}"/><path class="dot" d="M{at(*points[-1])}h0"/>'
    cross = f'<path class="bad" d="{over}"/>' if over else ""
    ends = _text(0, nights[0][5:] or nights[0]) + _text(WIDE, nights[-1][5:] or nights[-1], anchor="end")
    return _svg("hist", said, f'<path class="base" d="M0 {HIGH}H{WIDE}"/>{lines}{body}{cross}{ends}')


def two_bars(before: float, after: float, most: float) -> Markup:
    """Then and now, one above the other, each as a part of the largest."""
    then, now = (max(0.0, one / most) * 100 if most > 0 else 0.0 for one in (before, after))
    return Markup(  # noqa: S704  # two figures, formatted here
        f'<svg class="bar two" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="then" width="{then:.1f}" height="7"/><rect class="part" y="9" width="{now:.1f}" height="7"/></svg>'
    )
