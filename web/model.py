"""Assembles one model version: its card read into what a page shows, its part in the journal, and what its predictions were
worth. Cards of any age are read: what one does not hold is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.promotion import tell_dummy, tell_realised
from store.reads.models import champion, moves, nights_scored, quality, version
from web.edge import Answered, NotFound, View
from web.morning import figures_of, label_of, metric_shown, move_of, trust_of
from web.schemas import Figure, ModelAnswer
from web.tried import Later, Search, read_later, read_search
from web.words import flat

OTHERS = "(others)"


def model(view: View, number: int) -> Answered:
    """One version's card, its part in the promotion journal, and what its predictions turned out to be worth."""
    pipeline = view.pipeline
    line = version(view.connection, pipeline.name, number)
    if line is None:
        raise NotFound(f"{pipeline.name} has no model version {number}", hint=f"overnight models {pipeline.name}")
    scored = nights_scored(view.connection, pipeline.name, model=line["id"]) or {}
    figures = []
    if scored.get("nights"):
        lines = quality(view.connection, {pipeline.name: (scored["first"], scored["last"])})[pipeline.name]
        figures = [one for one in figures_of(pipeline, lines) if one.model_version == number]
    journal = moves(view.connection, pipeline.name)
    mine = [move_of(pipeline, one) for one in journal if number in (one["version"], one["previous_version"])]
    clearly, worth = _worth(line["card"], line["metrics"], figures, judged_by=metric_shown(pipeline, figures))
    body = ModelAnswer.model_validate(
        {**line, "pipeline": pipeline.name, "night": label_of(pipeline, line["trained_for"]),
         "worth": worth, "clearly_better": clearly,
         "champion": champion(view.connection, pipeline.name) == number,
         "nights_scored": scored.get("nights", 0), "rows_scored": scored.get("rows", 0), "moves": mine, "quality": figures,
         "trust": trust_of(view.one.trust)}
    )  # fmt: skip
    return Answered(body, [(view.one.trust, pipeline)], page={
        "card": read_card(line["card"], line["metrics"]), "judged_by": metric_shown(pipeline, figures),
    })  # fmt: skip


def _worth(
    card: Mapping[str, Any], metrics: Mapping[str, Any], realised: Sequence[Figure], *, judged_by: str
) -> tuple[bool, str]:  # fmt: skip
    """Whether the version is clearly better than the dummy, and in which words, then and since."""
    metric = str((card.get("measured") or {}).get("metric", ""))
    own = metrics.get("held_out") or metrics.get("challenger") or {}
    dummy = metrics.get("held_out_dummy") or metrics.get("dummy") or {}
    span = (card.get("intervals") or {}).get(metric) or metrics.get("interval")
    then = tell_dummy(metric, own.get(metric), dummy=dummy.get(metric), interval=span) if own else (True, "")
    judged = [(one.value, one.dummy) for one in realised if one.metric == judged_by]
    since = tell_realised([(value, dummy) for value, dummy in judged if value is not None and dummy is not None], judged_by)
    return then[0] and since[0], " ".join(words for _, words in (then, since) if words)


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of a version, with the span of its bootstrap samples, beside others' on the same rows."""

    metric: str
    own: float | None
    low: float | None
    high: float | None
    champion: float | None
    dummy: float | None


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: how many rows are of it, how many of those were found, and how many of those called so are."""

    name: str
    rows: int
    called: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class Card:
    """`held` is of every held-out row; `decided` of those that the champion had not seen either, empty when nobody else was
    asked. `confusion` holds a line for each actual class, its columns in the same order."""

    question: str
    how: str
    metric: str
    note: str
    why: str
    held: Sequence[Measure]
    decided: Sequence[Measure]
    decided_rows: int | None
    champion_version: int | None
    difference: Sequence[float] | None
    importance: Sequence[Mapping[str, Any]]
    slices: Sequence[Mapping[str, Any]]
    overall: float | None
    curves: Mapping[str, Any]
    classes: Sequence[ClassFigures]
    confusion: Sequence[Sequence[int]]
    hints: Mapping[str, float]
    later: Sequence[Later]
    search: Search | None
    spans: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    seconds: float | None
    threads: int | None

    @property
    def most_important(self) -> float:
        return max([float(one["loss"]) for one in self.importance] or [0.0])

    @property
    def in_curves(self) -> bool:
        return any(self.curves.get(name) for name in ("roc", "precision_recall", "calibration", "residuals", "predicted_actual"))


def read_card(card: Mapping[str, Any], metrics: Mapping[str, Any]) -> Card:
    """A stored card in the order of a page. What has no place of its own there is among `facts`, so that nothing is hidden."""
    measured_, curves = card.get("measured") or {}, card.get("curves") or {}
    metric, decision = str(measured_.get("metric", "")), card.get("decision") or {}
    held, compared = metrics.get("held_out") or metrics.get("challenger") or {}, metrics.get("challenger") or {}
    dummy = metrics.get("held_out_dummy") or metrics.get("dummy") or {}
    others = metrics.get("champion") or {}
    classes, confusion = read_confusion(curves.get("confusion") or {})
    spans = {**({metric: metrics["interval"]} if metrics.get("interval") else {}), **(card.get("intervals") or {})}
    rest = {name: part for name, part in card.items() if name not in _PLACED}
    rest["measured"] = {name: part for name, part in measured_.items() if name not in _MEASURED}
    rest["data"] = {name: part for name, part in (card.get("data") or {}).items() if name not in _SPAN}
    return Card(
        question=str(card.get("question", "")),
        how=str(measured_.get("how", "")), metric=metric, note=_note(measured_, decision), why=str(decision.get("why", "")),
        held=measures(held, dummy=dummy, spans=spans, first=metric),
        decided=measures(compared, dummy=metrics.get("dummy") or {}, champion=others, first=metric) if others else [],
        decided_rows=metrics.get("rows"), champion_version=metrics.get("champion_version"), difference=metrics.get("difference"),
        importance=card.get("importance") or [], slices=card.get("slices") or [], overall=held.get(metric), curves=curves,
        classes=classes, confusion=confusion, hints=card.get("almost_the_answer_alone") or {},
        later=read_later(card.get("later_than_the_prediction") or {}),
        search=read_search(card.get("search") or {}, metric), spans=_spans(card),
        facts={name: _told(value) for name, value in flat(rest).items() if value not in ({}, [], None, "")},
        seconds=card.get("seconds"), threads=card.get("threads"),
    )  # fmt: skip


def _note(measured_: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    """How the champion was asked, where the decision does not say it itself."""
    note = str(measured_.get("note", ""))
    return "" if note in str(decision.get("why", "")) else note


def _told(value: Any) -> Any:
    return (
        ", ".join(map(str, value))
        if isinstance(value, list) and not any(isinstance(one, list | dict) for one in value)
        else value
    )


_PLACED = (
    "question", "intervals", "metrics", "importance", "slices", "curves", "decision", "seconds", "threads",
    "almost_the_answer_alone", "later_than_the_prediction", "search",
)  # fmt: skip
_MEASURED = ("how", "metric", "note", "fitted_on", "held_out", "compared_on_rows")
_SPAN = ("from", "until", "nights", "batches", "rows")


def _spans(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was learned from, and what was judged on: nights, batches and rows."""
    measured = card.get("measured") or {}
    parts = {
        "the stored model learned from": card.get("data"),
        "the figures' twin learned from": measured.get("fitted_on"),
        "and was asked about": measured.get("held_out"),
    }
    return [
        {
            "what": what, "first": part["nights"][0], "last": part["nights"][-1], "nights": len(part["nights"]),
            "batches": part.get("batches") or [], "rows": part.get("rows"),
        }
        for what, part in parts.items()
        if part and part.get("nights")
    ]  # fmt: skip


def measures(
    own: Mapping[str, Any],
    *,
    dummy: Mapping[str, Any],
    first: str,
    champion: Mapping[str, Any] | None = None,
    spans: Mapping[str, Sequence[float]] | None = None,
) -> list[Measure]:
    """The figures side by side, the deciding metric first; none when a card keeps them in another form."""
    if not isinstance(own, Mapping):
        return []
    lines = []
    for name in sorted(own, key=lambda each: each != first):
        low, high = (spans or {}).get(name) or (None, None)
        lines.append(Measure(name, own[name], low, high, (champion or {}).get(name), dummy.get(name)))
    return lines


def read_confusion(found: Mapping[str, Any]) -> tuple[list[ClassFigures], list[list[int]]]:
    """Each class with how well it is found, and the matrix; `(others)` is left out of both when nothing fell into it."""
    names, rows = [str(name) for name in found.get("classes") or []], found.get("rows") or []
    places = list(range(len(names)))
    if names and names[-1] == OTHERS and not sum(rows[-1]) and not sum(line[-1] for line in rows):
        places = places[:-1]
    matrix = [[int(rows[actual][said]) for said in places] for actual in places]
    lines = []
    for place in places:
        actual, called, right = sum(matrix[place]), sum(line[place] for line in matrix), matrix[place][place]
        lines.append(
            ClassFigures(names[place], actual, called, right / actual if actual else None, right / called if called else None)
        )
    return lines, matrix
