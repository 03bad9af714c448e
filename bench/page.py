"""The page of figures in the docs, and its pictures, from the JSON files alone: `make docs` and each run write it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.pictures import Bar, ratio_chart, short
from bench.profile_page import profile_lines
from bench.ratios import BY_NAME, RATIOS, Figures, Ratio, Target
from bench.results import Results, ratios_of, read_results
from bench.scaling.page import curve_pages

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "explanation" / "figures.md"
PICTURES = DOCS / "pictures"
_NOTE = "<!-- Written by `make docs` and `make bench` from bench/*.json: measure anew, do not change this page. -->\n\n"
_INTRO = """# Measured, beside other tools

`make bench` measures each of these with ours and the other side in turn, in one run on one machine, and writes this page.
A warm-up comes first; figures are medians of at least five rounds, or of three where a round takes longer than a minute and
in the small size: the column says how many. `make bench size=small` takes a few minutes. CPU seconds are of
everything that works for a side, Postgres included; they hardly change when others use the machine, and seconds by the clock do.
"""


def pages() -> dict[Path, str]:
    """The text of each file that the figures make."""
    results = read_results()
    pictures, curves = curve_pages(PICTURES)
    full = ratios_of(results, "full")
    text = [*_head(results), *_ratios(full), *curves, *profile_lines(), *_small(results)]
    return {
        PAGE: _NOTE + "\n".join(text).rstrip() + "\n",
        PICTURES / "figures-ratios.svg": ratio_chart(_bars(full), "Ours beside others, how many times better"),
        **pictures,
    }


def write_pages() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


def _bars(ratios: Mapping[str, Mapping[str, Any]]) -> list[Bar]:
    return [_bar(one, ratios[one.name]) for one in RATIOS if one.name in ratios]


def _bar(one: Ratio, figures: Mapping[str, Any]) -> Bar:
    asked = next((target for target in one.targets if not target.said), None)
    turn = (lambda value: 1 / value) if one.better == "lower" else float
    return Bar(one.name, turn(figures["ratio"]), turn(asked.limit) if asked else None, asked.met(figures) if asked else None)


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    yield _INTRO
    for machine in results["machines"]:
        packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        yield (
            f"Measured on {machine['cores']} cores ({machine['processor']}) and {machine['memory_gb']} GB, {machine['system']}, "
            f"Python {machine['python']}, PostgreSQL {machine['postgres']}, {packages}."
        )
        yield ""


def _ratios(ratios: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    targets = [(one, target, target.met(ratios[one.name])) for one in RATIOS if one.name in ratios for target in one.targets]
    judged = [met for _, _, met in targets if met is not None]
    yield from ("## Ours beside others", "")
    yield from ("![How many times better ours is than each other side](../pictures/figures-ratios.svg)", "")
    yield from (f"Of {len(judged)} targets {judged.count(True)} are met and {judged.count(False)} missed.", "")
    yield from _table(ratios, judged=True)
    yield from ("### What is compared, and what the other side does more or less", "")
    for one in RATIOS:
        if one.name in ratios:
            yield from _words(one, ratios[one.name])


def _table(ratios: Mapping[str, Mapping[str, Any]], *, judged: bool) -> Iterator[str]:
    yield "| ratio of | | better | asked | ours | other | unit | rows | seconds | CPU s | peak MB | rounds | day |"
    yield "|---|--:|---|---|--:|--:|---|--:|--:|--:|--:|--:|---|"
    for name in sorted(ratios, key=lambda one: list(BY_NAME).index(one) if one in BY_NAME else len(BY_NAME)):
        figures, one = ratios[name], BY_NAME.get(name)
        better, asked = one.better if one else figures.get("better", ""), _asked(one, figures) if judged else ""
        cells = [
            f"`{name}`", f"**{figures['ratio']}**", better, asked,
            short(figures["ours"]), short(figures["other"]), one.unit if one else "", _number(figures.get("rows")),
            _pair(figures, "seconds"), _pair(figures, "cpu_seconds") or _micro(figures), _pair(figures, "peak_mb"),
            _number(figures.get("rounds")), figures["day"],
        ]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield "Seconds, CPU seconds and peak memory are ours / the other's, where both were taken."
    yield ""


def _asked(one: Ratio | None, figures: Figures) -> str:
    said = []
    for target in one.targets if one else ():
        met = target.met(figures)
        if met is not None:
            said.append(f"{_limit(target)}: {'met' if met else '**missed**'}")
    return "; ".join(said)


def _limit(target: Target) -> str:
    sign = "≥" if target.asks == "at least" else "≤"
    return f"{sign} {target.limit:g}" + (f" {target.said}" if target.said else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{float(value):,.0f}"


def _pair(figures: Mapping[str, Any], key: str) -> str:
    ours, other = figures.get(key), figures.get(f"other_{key}")
    if ours is None:
        return ""
    return short(ours) + (f" / {short(other)}" if other is not None else "")


def _micro(figures: Mapping[str, Any]) -> str:
    if "cpu_us" not in figures:
        return ""
    return f"{short(figures['cpu_us'])} / {short(figures['other_cpu_us'])} µs each"


def _words(one: Ratio, figures: Mapping[str, Any]) -> Iterator[str]:
    yield f"- **`{one.name}`**, against {one.other}. {one.differs}"
    missed = [target for target in one.targets if target.met(figures) is False]
    if missed:
        found = "; ".join(f"asked {_limit(target)}, found {short(target.of(figures) or 0)}" for target in missed)
        yield f"  **Missed**: {found}. {one.way}"
    yield ""


def _small(results: Results) -> Iterator[str]:
    ratios = ratios_of(results, "small")
    if ratios:
        yield from ("## The small size", "")
        yield "What the guard in CI compares with: `python -m bench --size small --guard`. Nothing is asked of it: with few rows,"
        yield from ("what a side does once weighs more than what it does for each.", "")
        yield from _table(ratios, judged=False)
