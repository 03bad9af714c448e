"""Pictures of figures as hand-written SVG: files that need no script and no library, in the reader's colours, light or dark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 66, 150, 34, 40
_STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#333}.small{font-size:11px;fill:#666}.grid{stroke:#ddd}.one{stroke:#888}"
    ".met{fill:#1a7f4b}.missed{fill:#b3541e}.none{fill:#3b5bdb}.asked{stroke:#333;stroke-width:2}polyline{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.small{fill:#aaa}.grid{stroke:#444}.one{stroke:#999}.asked{stroke:#eee}}</style>"
)
_COLOURS = ("#3b5bdb", "#d9480f", "#2b8a3e", "#ae3ec9", "#0c8599", "#b08800", "#868e96", "#c2255c")


@dataclass(frozen=True, slots=True)
class LogScale:
    """Places values between two pixels, by their logarithm; whole decades at the ends."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> "LogScale":
        low, high = 10.0 ** floor(log10(min(values)) + 1e-9), 10.0 ** ceil(log10(max(values)) - 1e-9)
        return cls(low, high if high > low else low * 10, start, end)

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (log10(value / self.low) / log10(self.high / self.low))

    def decades(self) -> list[float]:
        return [10.0**power for power in range(round(log10(self.low)), round(log10(self.high)) + 1)]


def short(value: float) -> str:
    """1.5, 12, 3.4k, 10M: three figures at most."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Bar:
    """How many times better than the other side ours is, and how many times it was asked to be."""

    name: str
    times: float
    asked: float | None
    met: bool | None


def ratio_chart(bars: Sequence[Bar], title: str) -> str:
    """A line of each ratio on one log axis; right of 1 ours is better, a tick says what was asked."""
    height, left = TOP + 24 * len(bars) + BOTTOM, 270
    scale = LogScale.around([0.1, *(bar.times for bar in bars), *(bar.asked for bar in bars if bar.asked)], left, WIDTH - 60)
    parts = [
        f'<path class="{"one" if value == 1 else "grid"}" d="M{scale(value):.1f} {TOP - 6}V{height - BOTTOM}"/>'
        f'<text class="small" x="{scale(value):.1f}" y="{height - BOTTOM + 16}" text-anchor="middle">{short(value)}</text>'
        for value in scale.decades()
    ]
    for place, bar in enumerate(bars):
        y, kind = TOP + 24 * place + 12, {True: "met", False: "missed", None: "none"}[bar.met]
        start, end = sorted((scale(1), scale(bar.times)))
        parts += [
            f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect class="{kind}" x="{start:.1f}" y="{y - 6}" width="{max(1.5, end - start):.1f}" height="12"/>',
            f'<text class="small" x="{max(end, scale(1)) + 6:.1f}" y="{y + 4}">{short(bar.times)}</text>',
        ]
        if bar.asked:
            parts.append(f'<path class="asked" d="M{scale(bar.asked):.1f} {y - 9}v18"/>')
    parts.append(
        f'<text class="small" x="{left}" y="{height - 6}">times better than the other side; the tick is what was asked</text>'
    )
    return _whole(parts, title, height)


def curve_chart(series: Mapping[str, Sequence[tuple[float, float]]], *, title: str, across: str, up: str) -> str:
    """Lines on two log axes, each named at its right end."""
    height = 330
    points = [point for line in series.values() for point in line]
    x = LogScale.around([one for one, _ in points], LEFT, WIDTH - RIGHT)
    y = LogScale.around([one for _, one in points], height - BOTTOM, TOP)
    parts = [
        *_axes(x, y, height),
        f'<text class="small" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 6}" text-anchor="middle">{escape(across)}</text>',
        f'<text class="small" x="{LEFT - 50}" y="{TOP - 12}">{escape(up)}</text>',
    ]
    ends = _apart({name: y(line[-1][1]) for name, line in series.items()})
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x(one):.1f},{y(other):.1f}" for one, other in line)
        parts.append(f'<polyline stroke="{colour}" points="{path}"/>')
        parts += [
            f'<circle fill="{colour}" cx="{x(one):.1f}" cy="{y(other):.1f}" r="3.5">'
            f"<title>{escape(name)}: {short(other)} at {short(one)}</title></circle>"
            for one, other in line
        ]
        parts.append(f'<text style="fill:{colour}" x="{x(line[-1][0]) + 9:.1f}" y="{ends[name] + 4:.1f}">{escape(name)}</text>')
    return _whole(parts, title, height)


def _axes(x: LogScale, y: LogScale, height: int) -> Iterator[str]:
    for value in x.decades():
        yield f'<path class="grid" d="M{x(value):.1f} {TOP}V{height - BOTTOM}"/>'
        yield f'<text class="small" x="{x(value):.1f}" y="{height - BOTTOM + 16}" text-anchor="middle">{short(value)}</text>'
    for value in y.decades():
        yield f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="small" x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{short(value)}</text>'


def _apart(ends: Mapping[str, float], gap: float = 15) -> dict[str, float]:
    """Heights for names at the ends of lines, moved down where they would cover each other."""
    placed: dict[str, float] = {}
    last = float("-inf")
    for name in sorted(ends, key=lambda one: ends[one]):
        last = placed[name] = max(ends[name], last + gap)
    return placed


def _whole(parts: Sequence[str], title: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"><title>{escape(title)}</title>'
        f"{_STYLE}\n" + "\n".join(parts) + "\n</svg>\n"
    )
