"""Late rows: which recent nights have another source now than when they were read."""

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import SourceError
from domain.interval import Interval
from domain.words import BatchKind
from infra.settings import Settings
from store.batches import newest_batch
from store.engine import transaction
from store.sources import source_files
from tasks.context import writer_engine
from tasks.ingest.take import take_source


def late_nights(definition: Definition, interval: Interval, settings: Settings) -> list[Interval]:
    """The nights within `source.look_back` before `interval` whose source has other content than their newest batch, oldest
    first: they are to be taken again. Nights that were never read belong to the catch-up policy and are not among them.
    """
    pipeline = definition.pipeline
    if pipeline.source.look_back is None:
        return []
    calendar, engine = pipeline.calendar, writer_engine(settings)
    first = calendar.containing(interval.start - pipeline.source.look_back)
    recent = [night for night in calendar.between(first, interval) if night.start < interval.start]
    return [night for night in recent if _is_other(definition, night, settings, engine)]


def _is_other(definition: Definition, interval: Interval, settings: Settings, engine: sa.Engine) -> bool:
    pipeline = definition.pipeline
    with transaction(engine) as connection:
        batch = newest_batch(connection, pipeline.name, BatchKind.INPUT, interval)
        known = [file["sha256"] for file in source_files(connection, batch.id)] if batch else None
    if known is None:
        return False
    zone, data = pipeline.interval.timezone, settings.data_folder
    try:
        with take_source(pipeline.source, interval, zone=zone, data=data, server=engine.url) as taken:
            return [file.sha256 for file in taken.files] != known
    except SourceError:
        return False  # what is gone from the source is no reason to give up what readers have
