"""Assembles the rows browser and one key's history."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.standing import NightState
from domain.trust import Freshness, TrustLine
from domain.words import BatchKind
from store.reads.facets import MOST_ROWS, read_facets
from store.reads.history import TAUGHT, read_history
from store.reads.pipelines import Published, published_as_of
from store.reads.pruned import require_rows
from store.reads.rows import Page, Question, column_types, parse_value, read_page
from store.reads.trust import judge_pipelines, question_of, stand_night, trust_batch
from web.answers import Facet, FacetValue
from web.edge import Answered, NotFound, View
from web.morning import describe_nights, label_of, trust_of
from web.schemas import KeyAnswer, RowsAnswer, Said, Span

HISTORY_SHOWN = 120


def rows(
    view: View,
    question: Question,
    *,
    night: str,
    as_of: datetime | None,
    path: str,
    query: Sequence[tuple[str, str]],
    facets: bool = False,
) -> Answered:
    """One page of what readers see of a night, or saw of it at `as_of`; with `facets`, what could be filtered by."""
    pipeline = view.pipeline
    seen, trust = seen_batch(view, night, as_of=as_of)
    page = Page([], None)
    if seen is not None and seen.input_batch is not None:
        page = read_page(view.connection, pipeline, question, batch=seen.batch, input_batch=seen.input_batch)
    return describe_rows(
        pipeline, question, page, seen=seen, trust=trust, as_of=as_of, next_=_next(path, query, page.next),
        facets=_facets(view, question, seen) if facets else [],
    )  # fmt: skip


def describe_rows(
    pipeline: Pipeline, question: Question, page: Page, *, seen: Published | None, trust: TrustLine,
    as_of: datetime | None = None, next_: str | None = None, facets: Sequence[Facet] = (),
) -> Answered:  # fmt: skip
    """The answer about a page, however it was read."""
    types = column_types(pipeline)
    body = RowsAnswer(
        pipeline=pipeline.name, night=pipeline.calendar.label(seen.interval) if seen else None, as_of=as_of,
        columns={name: types[name] for name in question.columns}, total=seen.rows if seen else 0, rows=list(page.rows),
        facets=list(facets), next=next_, trust=trust_of(trust),
    )  # fmt: skip
    return Answered(body, [(trust, pipeline)])


def _facets(view: View, question: Question, seen: Published | None) -> list[Facet]:
    if seen is None or seen.input_batch is None or seen.rows > MOST_ROWS:
        return []
    found = read_facets(view.connection, view.pipeline, question.filters, batch=seen.batch, input_batch=seen.input_batch)
    return [
        Facet(column=one.column, values=[FacetValue(value=value, rows=rows) for value, rows in one.values],
              others=one.rows - sum(rows for _, rows in one.values))
        for one in found
    ]  # fmt: skip


def _next(path: str, query: Sequence[tuple[str, str]], cursor: str | None) -> str | None:
    if cursor is None:
        return None
    kept = [(name, value) for name, value in query if name != "after"]
    return f"{path}?{urlencode([*kept, ('after', cursor)])}"


def seen_batch(view: View, night: str, *, as_of: datetime | None) -> tuple[Published | None, TrustLine]:
    """The prediction batch that readers see of a night, or saw of it then, with its trust line."""
    one = view.one
    if as_of is not None:
        return _seen_then(view, night, as_of=as_of)
    if night == "latest":
        return one.published, one.trust
    interval = view.named(night)
    if one.published and interval.start == one.published.interval.start:
        return one.published, one.trust
    found = stand_night(view.connection, one.pipeline, interval, now=view.now, alive=view.alive)
    return found.seen(BatchKind.PREDICTION), found.trust


def _seen_then(view: View, night: str, *, as_of: datetime) -> tuple[Published | None, TrustLine]:
    pipeline = view.pipeline
    interval: Interval | None = None if night == "latest" else view.named(night)
    seen = published_as_of(view.connection, pipeline.name, moment=as_of, start=interval.start if interval else None)
    if seen is None:
        why = f"Nothing of this was published at {as_of.isoformat(timespec='seconds')}."
        return None, TrustLine(pipeline.name, interval, None, None, None, False, None, None, why)
    require_rows(view.connection, pipeline, seen.batch)
    freshness = judge_then(view, seen.interval if interval is None else None, as_of=as_of)
    return seen, trust_batch(
        pipeline, seen, freshness=freshness, reason=f"As readers saw it at {as_of.isoformat(timespec='seconds')}."
    )  # fmt: skip


def judge_then(view: View, newest: Interval | None, *, as_of: datetime) -> Freshness:
    """Whether the pipeline was late at that moment; one night alone, which is asked for by name, is what it is."""
    name = view.pipeline.name
    if newest is None:
        return Freshness(True, None, None)
    return judge_pipelines(view.connection, [view.pipeline], newest={name: newest}, now=as_of, by=as_of)[name]


def key(view: View, text: str) -> Answered:
    """One key through all nights, newest first."""
    pipeline = view.pipeline
    types = column_types(pipeline)
    values = read_key(pipeline, text)
    lines = read_history(view.connection, pipeline, values, limit=HISTORY_SHOWN)
    names = [name for name in types if name not in pipeline.key and name != "model_version"]
    if not lines:
        shown = ", ".join(map(str, values))[:80]
        raise NotFound(f"no published night of {pipeline.name} holds {' and '.join(pipeline.key)} {shown}")
    said = []
    for line, older in zip(lines, [*lines[1:], None], strict=True):
        start, end = line["interval_start"], line["interval_end"]
        said.append(Said(
            night=label_of(pipeline, start), interval=Span(start=start, end=end), batch=line["batch"],
            model_version=line["model_version"], published_at=line["published_at"], verdict=line["verdict"],
            values={name: line[name] for name in names},
            changed_model=older is not None and older["model_version"] != line["model_version"],
            former_question=question_of(line[TAUGHT], pipeline),
        ))  # fmt: skip
    body = KeyAnswer(
        pipeline=pipeline.name, key=dict(zip(pipeline.key, values, strict=True)), columns={n: types[n] for n in names},
        nights=said, held_nights=_held(view, lines), trust=trust_of(view.one.trust),
    )  # fmt: skip
    return Answered(body, [(view.one.trust, pipeline)])


def _held(view: View, lines: Sequence[dict[str, Any]]) -> list[str]:
    calendar = view.pipeline.calendar
    last = view.one.published.interval if view.one.published else calendar.containing(lines[0]["interval_start"])
    first = calendar.containing(lines[-1]["interval_start"])
    if calendar.distance(first, last) > HISTORY_SHOWN:
        first = calendar.containing(lines[0]["interval_start"])
    if calendar.distance(first, last) > HISTORY_SHOWN:
        return []
    nights = describe_nights(view, view.pipeline, first=first, last=last)
    return [night.night for night in nights if night.state == NightState.HELD and night.batch is None]


def read_key(pipeline: Pipeline, text: str) -> list[Any]:
    """A key from an address: its columns' values with commas between them, a comma in a value written as `\\,`."""
    types = column_types(pipeline)
    parts = split_key(text) if len(pipeline.key) > 1 else [text]
    if len(parts) != len(pipeline.key):
        raise NotFound(f"a key of {pipeline.name} is {','.join(pipeline.key)}, with commas between the values")
    zone = pipeline.interval.timezone
    return [parse_value(part, types[name], column=name, zone=zone) for part, name in zip(parts, pipeline.key, strict=True)]


def split_key(text: str) -> list[str]:
    parts: list[str] = []
    current, escaped = "", False
    for letter in text:
        if escaped or letter not in "\\,":
            current, escaped = current + letter, False
        elif letter == "\\":
            escaped = True
        else:
            parts, current = [*parts, current], ""
    return [*parts, current]


def join_key(values: Sequence[Any]) -> str:
    """A key as an address holds it; the other half of `read_key`."""
    texts = [value.isoformat() if isinstance(value, datetime) else str(value) for value in values]
    return texts[0] if len(texts) == 1 else ",".join(text.replace("\\", "\\\\").replace(",", "\\,") for text in texts)


def key_address(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """A row's key as the last part of an address."""
    return quote(join_key([row[name] for name in names]), safe="")
