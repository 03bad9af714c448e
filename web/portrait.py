"""A model's card as a file: Markdown to read and to keep beside a report, JSON as the API answers it."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from web.api import Name, Number, edge_of
from web.curves import share_true
from web.edge import Answered, View
from web.model import Card, model
from web.schemas import ModelAnswer
from web.tried import told_search
from web.words import NONE, count, figure, flat, part, seconds, thing, trust_words

CardForm = Annotated[Literal["md", "json"], Path(description="md or json")]
TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}
router = APIRouter(tags=["export"])


@router.get("/api/v1/p/{pipeline}/models/{version}.{form}", summary="One model version's card as a file: md or json")
@router.get("/p/{pipeline}/models/{version}.{form}", include_in_schema=False)
def export_card(request: Request, pipeline: Name, version: Number, form: CardForm) -> Response:
    """The card as it stands on its page, with its trust line."""
    found: list[Answered] = []

    def assemble(view: View) -> Answered:
        found.append(model(view, version))
        return found[0]

    plain = edge_of(request).answer(request, assemble, pipeline=pipeline, keep=False)
    body = write_markdown(found[0]) if form == "md" else bytes(plain.body)
    kept = {name: plain.headers[name] for name in ("etag", "overnight-trust", "cache-control", "vary") if name in plain.headers}
    kept["Content-Disposition"] = f'attachment; filename="{pipeline}-model-{version}.{form}"'
    return Response(body, media_type=TYPES[form], headers=kept)


def write_markdown(found: Answered) -> str:
    """The card for people: the same figures as on the page, its curves as tables."""
    answer, card = found.body, found.page["card"]
    assert isinstance(answer, ModelAnswer)
    trust = [" · ".join(trust_words(line, pipeline)) + f". {line.reason}" for line, pipeline in found.trust]
    parts = [
        f"# {answer.pipeline}, model version {answer.version}", card.question or NONE, *trust,
        answer.worth, _facts(answer, card),
        *_section("How it was measured", [card.how]),
        *_section("Figures on held-out rows", [_figures(card)]),
        *_section("The decision", [card.why, card.note, _decided(card)]),
        *_section("Classes", [_classes(card)]),
        *_section("Calibration", [_calibration(card)]),
        *_section("Predicted against actual", [_predicted(card)]),
        *_section("What it leans on", [_importance(card)]),
        *_section("Slices", [_slices(card)]),
        *_section("Features that almost tell the answer alone", [_pairs(card.hints)]),
        *_section("Features that lie after the prediction", [_later(card)]),
        *_section("What was searched", _search(card)),
        *_section("Rows", [_spans(card)]),
        *_section("Recipe", [_pairs(card.facts)]),
        *_section("Parameters", [_pairs(flat(answer.params))]),
        *_section("Libraries", [_pairs(answer.libraries)]),
        *_section("Journal", [_journal(answer)]),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _section(title: str, parts: Sequence[str]) -> list[str]:
    """A heading with what is under it; nothing when nothing is."""
    there = [each for each in parts if each]
    return [f"## {title}", *there] if there else []


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    written = [f"| {' | '.join(_cell(value) for value in line)} |" for line in lines]
    if not written:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *written])


def _cell(text: str) -> str:
    """Names and values come from data: neither a bar nor a line break nor a tag may end the cell."""
    return " ".join(str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _pairs(things: Any) -> str:
    return _table(["", ""], [(name, thing(value)) for name, value in things.items()])


def _facts(answer: ModelAnswer, card: Card) -> str:
    took = f"{seconds(card.seconds)} on {card.threads} threads" if card.seconds is not None else NONE
    return _table(["", ""], [
        ("Trained by night", answer.night), ("Champion", "yes" if answer.champion else "no"), ("Task", answer.task),
        ("Learned from", f"{count(answer.rows)} rows of {len(answer.batches)} batches"),
        ("Rows before", answer.trained_until.isoformat()),
        ("Learning took", took), ("Nights scored", count(answer.nights_scored)), ("Size", f"{count(answer.bytes)} bytes"),
        ("sha256", answer.sha256),
    ])  # fmt: skip


def _figures(card: Card) -> str:
    return _table(["Metric", "This version", "95 % interval", "Dummy"], [
        (one.metric, figure(one.own, 4), _span(one.low, one.high), figure(one.dummy, 4)) for one in card.held
    ])  # fmt: skip


def _span(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else f"{figure(low, 4)} to {figure(high, 4)}"


def _decided(card: Card) -> str:
    head = ["Metric", "This version", f"Version {card.champion_version}", "Dummy"]
    lines = [(one.metric, figure(one.own, 4), figure(one.champion, 4), figure(one.dummy, 4)) for one in card.decided]
    return _table(head, lines)


def _classes(card: Card) -> str:
    each = [(one.name, count(one.rows), part(one.recall), count(one.called), part(one.precision)) for one in card.classes]
    found = _table(["Class", "Rows", "Found", "Called so", "Of those, right"], each)
    names = [_cell(one.name) for one in card.classes]
    lines = zip(names, card.confusion, strict=True)
    matrix = _table(["Actual \\ said", *names], [(name, *(count(rows) for rows in line)) for name, line in lines])
    return "\n\n".join(each for each in (found, matrix) if each)


def _calibration(card: Card) -> str:
    groups = card.curves.get("calibration") or []
    if not groups:
        return ""
    lines = [(part(one["predicted"]), part(one["actual"]), count(one["rows"])) for one in groups]
    return f"{part(share_true(groups))} of all rows are true.\n\n" + _table(["Said", "Came true", "Rows"], lines)


def _predicted(card: Card) -> str:
    return _table(["Predicted", "Actual"], [(thing(x), thing(y)) for x, y in card.curves.get("predicted_actual") or []])


def _importance(card: Card) -> str:
    lines = [(one["feature"], figure(one["loss"], 4), figure(one["spread"], 4)) for one in card.importance]
    return _table(["Feature", f"{card.metric} lost when shuffled", "Spread"], lines)


def _slices(card: Card) -> str:
    lines = [(one["feature"], one["value"], count(one["rows"]), figure(one.get(card.metric), 4)) for one in card.slices]
    return _table(["Feature", "Value", "Rows", card.metric], lines)


def _later(card: Card) -> str:
    return _table(["Feature", "After the prediction", "What that says"], [
        (one.feature, part(one.share), one.told) for one in card.later
    ])  # fmt: skip


def _search(card: Card) -> list[str]:
    if card.search is None:
        return []
    head, lines = told_search(card.search, card.metric)
    twins = [f"twin {place}: {thing(one)}" for place, one in enumerate(card.search.twins, start=1)]
    each = f"Each twin searched on its own rows; {'; '.join(twins)}." if twins else ""
    return [card.search.told, _table(head, lines), each]


def _spans(card: Card) -> str:
    return _table(["", "First night", "Last night", "Batches", "Rows"], [
        (one["what"], one["first"], one["last"], ", ".join(map(str, one["batches"])), count(one["rows"])) for one in card.spans
    ])  # fmt: skip


def _journal(answer: ModelAnswer) -> str:
    return _table(["From night", "Alias", "To", "From", "Why", "Who", "When"], [
        (one.night, one.alias, str(one.version), str(one.previous_version or NONE), one.why, one.who, one.at.isoformat())
        for one in answer.moves
    ])  # fmt: skip
