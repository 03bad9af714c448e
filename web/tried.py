"""What a card tells of how its model came about: what a search tried and chose, and which features lie after the prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.promotion import HIGHER_IS_BETTER
from web.words import count, figure, part

SHOWN = 40


@dataclass(frozen=True, slots=True)
class Tried:
    """One combination on one rung; `won` marks the one that the model was fitted with."""

    params: Mapping[str, Any]
    rung: int
    rows: int
    figure: float | None
    won: bool


@dataclass(frozen=True, slots=True)
class Search:
    """`told` is the search in sentences; `tried` has the last rung first and the best on top; `twins` are what each of the
    figures' models chose on its own rows."""

    told: str
    names: Sequence[str]
    tried: Sequence[Tried]
    left: int
    twins: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Later:
    """A feature that mostly lies after the prediction: how much of it, how much is filled where no answer is known, and what that
    says."""

    feature: str
    share: float
    filled: float | None
    told: str


def read_search(found: Mapping[str, Any], metric: str) -> Search | None:
    """None where nothing was searched for."""
    if not found:
        return None
    chosen, sign = found.get("chosen") or {}, -1 if HIGHER_IS_BETTER.get(metric, True) else 1
    lines = [
        Tried(one["params"], one["rung"], one["rows"], one.get(metric), False)
        for one in sorted(found.get("tried") or [], key=lambda one: (-one["rung"], _worst_last(one.get(metric), sign)))
    ]
    first = next((place for place, one in enumerate(lines) if dict(one.params) == dict(chosen)), None)
    if first is not None:
        lines[first] = Tried(lines[first].params, lines[first].rung, lines[first].rows, lines[first].figure, won=True)
    names = list(dict.fromkeys(name for one in lines for name in one.params))
    twins = [one.get("chosen") or {} for one in found.get("twins") or []]
    return Search(_told(found, chosen, metric), names, lines[:SHOWN], max(0, len(lines) - SHOWN), [one for one in twins if one])


def _worst_last(value: float | None, sign: int) -> tuple[bool, float]:
    return value is None, sign * (value or 0.0)


def _told(found: Mapping[str, Any], chosen: Mapping[str, Any], metric: str) -> str:
    """How many combinations met on how many rows, what won, and why it ended."""
    rungs, note, said = found.get("rungs") or [], str(found.get("note") or ""), []
    if rungs:
        steps = [f"{count(one['candidates'])} on {count(one['rows'])} rows" for one in rungs]
        said.append(
            f"Combinations of arguments, compared by {metric} on rows that they had not learned from: {', then '.join(steps)}"
        )
    if chosen:
        said.append("Chosen: " + ", ".join(f"{name} {value}" for name, value in chosen.items()))
    if found.get("stopped"):
        said.append(f"Its time was up after rung {found['stopped']}, so more rows were not asked")
    if note:
        said.append(note[:1].upper() + note[1:])
    return ". ".join(said) + "." if said else ""


def read_later(found: Mapping[str, Mapping[str, Any]]) -> list[Later]:
    return [Later(name, one["share"], one.get("filled"), _meaning(one)) for name, one in found.items()]


def _meaning(one: Mapping[str, Any]) -> str:
    if one.get("comes_with_the_answer"):
        return "it comes with the answer, and was confirmed all the same"
    if one.get("filled") is None:
        return "too few rows lack their answer to tell a plan from a leak: see that it is known in time"
    return f"it is filled in {part(one['filled'])} of the rows whose answer is not known yet, as a plan would be"


def told_search(search: Search, metric: str) -> tuple[list[str], list[list[str]]]:
    """The table of what was tried, in words: its head and its lines."""
    head = ["Rung", "Rows", *search.names, metric, ""]
    return head, [
        [str(one.rung), count(one.rows), *(str(one.params.get(name, "")) for name in search.names), figure(one.figure, 4),
         "chosen" if one.won else ""]
        for one in search.tried
    ]  # fmt: skip
