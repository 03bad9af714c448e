"""The search box: a pipeline, a night or a key by its name, wherever it is."""

from collections.abc import Iterator
from dataclasses import dataclass

from domain.errors import UsageError
from domain.interval import Interval
from domain.pipeline import Pipeline
from store.reads.history import read_history
from web.edge import Answered, View
from web.entities import join_key, read_key
from web.schemas import Health

MOST_PIPELINES = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """Something of that name: what it is, and the parts of its address."""

    what: str
    parts: tuple[str, ...]


def search(view: View, text: str, *, within: str) -> Answered:
    """Every hit for what was typed, on the page `hits`. `within` names the pipeline whose page it was typed on; another one
    may be named first: `flights 2013-02-04`."""
    hits = list(dict.fromkeys(_find(view, text.strip(), within))) if text.strip() else []
    trust = [(one.trust, one.pipeline) for one in view.standings]
    return Answered(Health(status="ok"), trust, page={"hits": hits, "text": text.strip(), "within": within})


def _find(view: View, text: str, within: str) -> Iterator[Hit]:
    pipelines = {one.pipeline.name: one.pipeline for one in view.standings}
    if text in pipelines:
        yield Hit("pipeline", (text,))
    first, _, rest = text.partition(" ")
    if first in pipelines and rest.strip():
        text, within = rest.strip(), first
    here = [pipelines[within]] if within in pipelines else []
    others = [one for name, one in pipelines.items() if name != within and not (first in pipelines and rest.strip())]
    for pipeline in [*here, *others][:MOST_PIPELINES]:
        if _is_night(view, pipeline, text):
            yield Hit(f"night of {pipeline.name}", (pipeline.name, text))
        yield from _keys(view, pipeline, text)


def _is_night(view: View, pipeline: Pipeline, text: str) -> bool:
    try:
        named: Interval = pipeline.calendar.named(text)
    except (UsageError, ValueError, OverflowError):
        return False
    return named.start <= view.now


def _keys(view: View, pipeline: Pipeline, text: str) -> Iterator[Hit]:
    try:
        values = read_key(pipeline, text)
    except UsageError:
        return
    if read_history(view.connection, pipeline, values, limit=1):
        yield Hit(f"key of {pipeline.name}", (pipeline.name, "key", join_key(values)))
