"""`explain`: a pipeline in plain sentences, what its definition says and where it stands."""

from datetime import datetime

from deployments.catalogue import Definition
from domain.explanation import Chapter, explain_pipeline, told_night
from domain.words import BatchKind
from infra.settings import Settings
from store.engine import transaction
from store.models import champion_for
from store.publications import published_batches
from tasks.context import writer_engine


def explain(definition: Definition, settings: Settings, *, now: datetime) -> list[Chapter]:
    """Chapters of sentences; the last one is read from the ledger."""
    pipeline = definition.pipeline
    calendar, label = pipeline.calendar, pipeline.calendar.label
    severities = [str(line.get("severity", "critical")) for line in definition.expectations]
    due = calendar.before(now)
    with transaction(writer_engine(settings)) as connection:
        seen = published_batches(connection, pipeline.name, BatchKind.PREDICTION)
        champion = champion_for(connection, pipeline.name, night=due.start) if due else None
    newest = label(seen[-1].interval) if seen else None
    standing = told_night(
        newest=newest,
        due=label(due) if due is not None and label(due) != newest else None,
        champion=f"Model version {champion.version}, which saw nothing after {champion.trained_until:%Y-%m-%d},"
        if champion
        else None,
    )
    return [*explain_pipeline(pipeline, severities), ("Tonight", standing)]
