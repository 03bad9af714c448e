"""Charts as hand-written SVG: they take the page's colours, light or dark, and need no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup, escape

from web.schemas import Figure, Night
from web.words import figure, night_words

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 16, 32


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    steps: int

    def x(self, place: int) -> float:
        span = WIDTH - LEFT - RIGHT
        return LEFT + (span / 2 if self.steps < 2 else span * place / (self.steps - 1))

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - self.low) / (self.high - self.low))


def quality_chart(figures: Sequence[Figure], *, metric: str, name: str = "quality") -> Markup:
    """Realised quality, night by night, as a line against the dummy's; empty when nothing has been judged yet."""
    points = [one for one in figures if one.metric == metric and one.value is not None]
    if not points:
        return Markup("")
    values = [v for one in points for v in (one.value, one.dummy) if v is not None]
    low, high = min(values), max(values)
    pad = (high - low) * 0.12 or abs(high) * 0.1 or 0.1
    scale = _Scale(low - pad, high + pad, len(points))
    last = points[-1]
    title = f"Realised {metric} of {len(points)} nights against the dummy's"
    says = f"Newest, {night_words(last.night)}: {figure(last.value)}, dummy {figure(last.dummy)}."
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(says)}</desc>',
        *_grid(scale), *_nights(points, scale), _line(points, scale, dummy=True), _line(points, scale, dummy=False),
        *_dots(points, scale), "</svg>",
    ]  # fmt: skip
    return Markup("".join(parts))  # noqa: S704  # every text in it went through escape


def _grid(scale: _Scale) -> list[str]:
    lines = []
    for step in range(5):
        value = scale.low + (scale.high - scale.low) * step / 4
        y = scale.y(value)
        lines.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        lines.append(f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{figure(value, 2)}</text>')
    return lines


def _nights(points: Sequence[Figure], scale: _Scale) -> list[str]:
    every = max(1, round(len(points) / 6))
    shown = [place for place in range(0, len(points), every) if place + every / 2 < len(points)] or [0]
    anchor = {len(points) - 1: "end"}
    return [
        f'<text class="axis" x="{scale.x(place):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor.get(place, "middle")}">'
        f"{escape(points[place].night[5:] or points[place].night)}</text>"
        for place in shown
    ]


def _line(points: Sequence[Figure], scale: _Scale, *, dummy: bool) -> str:
    values = [(place, one.dummy if dummy else one.value) for place, one in enumerate(points)]
    path = " ".join(
        f"{'L' if index else 'M'}{scale.x(place):.1f} {scale.y(value):.1f}"
        for index, (place, value) in enumerate((p, v) for p, v in values if v is not None)
    )
    return f'<path class="{"dummy" if dummy else "value"}" d="{path}"/>'


def _dots(points: Sequence[Figure], scale: _Scale) -> list[str]:
    """A dot a night, hollow where another model took over, each with its figure to point at."""
    dots = []
    for place, one in enumerate(points):
        if one.value is None:
            continue
        changed = place > 0 and points[place - 1].model_version != one.model_version
        says = f"{one.night}: {figure(one.value)}, dummy {figure(one.dummy)}, model {one.model_version}, {one.rows} rows"
        kind, size = ("dot changed", 4.5) if changed else ("dot", 2.6)
        dots.append(
            f'<circle class="{kind}" cx="{scale.x(place):.1f}" cy="{scale.y(one.value):.1f}" r="{size}">'
            f"<title>{escape(says)}</title></circle>"
        )
    return dots


def bar(part: float, whole: float) -> Markup:
    """A small bar of how much of the whole a part is."""
    width = 0.0 if whole <= 0 else max(0.0, min(1.0, part / whole)) * 100
    return Markup(  # noqa: S704  # one number, formatted here
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8"/><rect class="part" width="{width:.1f}" height="8"/></svg>'
    )


def rows_chart(nights: Sequence[Night]) -> Markup:
    """Rows night by night as bars, the median of those published as a line; empty when no night has brought any."""
    brought = [one for one in nights if one.rows is not None]
    if len(brought) < 2:
        return Markup("")
    usual = median([one.rows or 0 for one in brought if one.published_at] or [0])
    most = max([usual, *(one.rows or 0 for one in brought)]) or 1
    step, high = WIDTH / len(nights), 74
    parts = []
    for place, one in enumerate(nights):
        if one.rows is not None:
            tall = max(1.0, one.rows / most * (high - 8))
            says = f"{one.night}: {one.rows} rows, {one.state}"
            parts.append(
                f'<rect class="{"seen" if one.published_at or one.state == "learning" else "unseen"}" x="{place * step + 1:.1f}" '
                f'y="{high - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}"><title>{escape(says)}</title></rect>'
            )
    line = f'<path class="dummy" d="M0 {high - usual / most * (high - 8):.1f}H{WIDTH}"/>' if usual else ""
    title = f"Rows of {len(brought)} nights against the usual {usual:.0f}"
    return Markup(  # noqa: S704  # every text in it went through escape
        f'<svg class="chart rows" viewBox="0 0 {WIDTH} {high}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}{line}</svg>"
    )
