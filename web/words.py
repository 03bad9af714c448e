"""How values are written for people: the trust line's words, nights, figures and spans of time."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.standing import told_trust
from domain.trust import TrustLine

NONE = "\N{EN DASH}"
MARKS = {
    "published": "✓", "learning": "◔", "held": "‖", "failed": "✕", "stopped": "■", "running": "▸", "waiting": "·",
    "missing": "!", "waived": NONE, "late": "!", "never published": "○",
    "done": "✓", "reused": "=", "skipped": NONE, "crashed": "■", "passed": "✓", "rejects": NONE, "error": "?",
}  # fmt: skip


def trust_words(line: TrustLine, pipeline: Pipeline) -> list[str]:
    """The trust line in the words that stand on every page, in the `Overnight-Trust` header and in exports."""
    return list(told_trust(line, pipeline.calendar))


def long_night(interval: Interval, pipeline: Pipeline) -> str:
    """`Mon 4 Feb 2013` for days; the plain name for any other length."""
    label = pipeline.calendar.label(interval)
    if len(label) != len("2013-02-04"):
        return label
    return day_words(date.fromisoformat(label))


def day_words(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def night_words(label: str) -> str:
    """A night's name as people say it."""
    try:
        return day_words(date.fromisoformat(label)) if len(label) == 10 else label
    except ValueError:
        return label


def count(number: float | None) -> str:
    """Thousands with a thin space, as both English and continental readers read them; no line breaks there."""
    if number is None:
        return NONE
    return f"{number:,.0f}".replace(",", "\u202f")


def figure(number: float | None, digits: int = 3) -> str:
    if number is None or math.isnan(number):
        return NONE
    return f"{number:.{digits}f}".replace("-0." + "0" * digits, "0." + "0" * digits)


def share(part: float | None, digits: int = 1) -> str:
    """A signed share: `+1.2 %`."""
    return "" if part is None else f"{part * 100:+.{digits}f} %".replace("-", "\N{MINUS SIGN}")


def seconds(span: float | None) -> str:
    if span is None:
        return NONE
    if span < 60:
        return f"{span:.1f} s"
    return f"{int(span // 60)} min {int(span % 60)} s"


def clock(when: datetime | None, zone: tzinfo = UTC) -> str:
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z") if when else NONE


def cell(value: Any, zone: tzinfo = UTC) -> str:
    """A value in a table: empty cells say so, long ones are cut, numbers keep what matters, moments are `zone`'s."""
    match value:
        case None:
            return NONE
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}" if abs(value) < 1e4 else str(value)
        case datetime():
            return value.astimezone(zone).strftime("%Y-%m-%d %H:%M")
        case Mapping() if is_shares(value):
            return shares(value)
        case Mapping() | list():
            return json.dumps(value, ensure_ascii=False, default=str)[:400]
    text = str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def is_shares(value: Mapping[str, Any]) -> bool:
    """Whether it is each class with its probability."""
    numbers = [one for one in value.values() if isinstance(one, int | float | Decimal) and not isinstance(one, bool)]
    return len(numbers) == len(value) > 1 and min(numbers) >= 0 and abs(float(sum(numbers)) - 1) < 0.001


def shares(value: Mapping[str, Any], most: int = 4) -> str:
    """`setosa 0.98, versicolor 0.02`: the most probable first, and how many more there are."""
    first = sorted(value.items(), key=lambda one: -one[1])[:most]
    more = f", {len(value) - most} more" if len(value) > most else ""
    return ", ".join(f"{name} {figure(float(number), 2)}" for name, number in first) + more


def flat(things: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values with their whole path as a name, for a table of two columns."""
    found: dict[str, Any] = {}
    for name, value in things.items():
        path = f"{before}{name}"
        found |= flat(value, f"{path} · ") if isinstance(value, Mapping) and value else {path: value}
    return found


def is_number(kind: str) -> bool:
    return kind in ("int", "float", "decimal")


def prose(text: str) -> Markup:
    """A sentence of the code's own, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped just before


def mark(state: str) -> str:
    """A sign beside the word, so that colour is never alone."""
    return MARKS.get(state, "·")


def slug(state: str) -> str:
    return state.replace(" ", "-")


def plain(number: float) -> str:
    """A figure of any size as people write it: 926, 26 398, 0.9838, 1.2e+12."""
    if isinstance(number, int) or (number == round(number) and abs(number) < 1e9):
        return count(number)
    return f"{number:.4g}" if abs(number) < 10_000 or abs(number) >= 1e9 else count(number)


def part(value: float | None) -> str:
    """An unsigned share: `1.6 %`, `under 0.1 %`."""
    if value is None:
        return NONE
    if 0 < value < 0.001:
        return "under 0.1 %"
    return f"{value * 100:.1f}".removesuffix(".0") + " %"


def thing(value: Any) -> str:
    """What a rule has measured, of whatever kind."""
    if isinstance(value, bool) or value is None:
        return cell(value)
    if isinstance(value, int | float):
        return plain(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {thing(one)}" for name, one in value.items())[:200]
    if isinstance(value, list):
        return ", ".join(thing(one) for one in value[:12])[:200]
    return cell(value)
