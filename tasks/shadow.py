"""The challenger in the shadow: it scores the rows that the champion scores, is judged like it, and is shown to nobody.

Its batch is sealed and kept like every other one, under a kind of its own that no pointer may lead to. What goes wrong with a
challenger is told and costs readers nothing.
"""

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from domain.errors import Fenced, OvernightError, Retryable
from domain.fingerprint import fingerprint
from domain.report import StageReport
from domain.words import BatchKind, BatchState
from store.batches import Batch, count_batch, newest_batch, open_batch, seal_batch
from store.drift import load_profile
from store.engine import transaction
from store.models import ModelVersion, challenger_to, load_artifact
from store.pipelines import EVERY
from store.runs import load_run
from tasks.context import Night
from tasks.models import Loaded, read_model, same_question
from tasks.profiles import Watch
from tasks.scoring import score_rows


def add_shadow(night: Night, report: StageReport, *, landed: Batch, champion: ModelVersion, code: str) -> StageReport:
    """The champion's report, with the shadow's batch in its detail where the pipeline asks for one and there is a challenger."""
    if not night.pipeline.model.shadow or night.run.hindsight:
        return report
    with transaction(night.engine) as connection:
        challenger = challenger_to(connection, champion, night=night.interval.start)
    if challenger is None or not same_question(challenger, night.pipeline):
        return report
    name = f"version {challenger.version}"
    try:
        batch = _cast(night, challenger, landed, code=code)
    except (Fenced, Retryable, DBAPIError):
        raise  # the night itself cannot go on
    except Exception as error:  # whatever is wrong with a challenger, the champion has scored
        what = error.what if isinstance(error, OvernightError) else f"{type(error).__name__}: {error}"
        return replace(report, reason=f"{report.reason}; {name} could not score in its shadow: {what}")
    detail = {**report.detail, "shadow": {"version": challenger.version, "batch": batch.id, "rows": batch.rows}}
    return replace(report, reason=f"{report.reason}; {name} scored them too, unseen", detail=detail)


def _cast(night: Night, challenger: ModelVersion, landed: Batch, *, code: str) -> Batch:
    """The batch that is there already for the same rows, model and code, or a new one."""
    every = (EVERY,) if night.pipeline.keeps_probabilities else ()
    name = fingerprint(landed.content_hash, challenger.sha256, challenger.version, code, "shadow", *every)
    with transaction(night.engine) as connection:
        newest = newest_batch(connection, night.pipeline.name, BatchKind.SHADOW, night.interval)
        same = newest is not None and (newest.fingerprint, newest.input_batch) == (name, landed.id)
        if newest is not None and same and newest.state is BatchState.SEALED:
            return newest
        artifact = load_artifact(connection, challenger.id)
    loaded = read_model(night, challenger, artifact)
    with transaction(night.engine) as connection:
        return _fill(night, connection, loaded, landed, name=name, code=code)


def _fill(night: Night, connection: sa.Connection, loaded: Loaded, landed: Batch, *, name: str, code: str) -> Batch:
    from tasks.score import kept_columns

    batch = open_batch(
        connection, load_run(connection, night.run.id), BatchKind.SHADOW, columns=kept_columns(night.pipeline),
        fingerprint=name, code=code, image=night.settings.image_digest, input_batch=landed.id, model=loaded.version.id,
    )  # fmt: skip
    with transaction(night.engine) as reading:
        profile = load_profile(reading, loaded.version.id)
        watch = Watch(profile, step=max(1, landed.rows)) if profile is not None else None  # for its ranges alone
        tally = score_rows(night, loaded, landed, batch, reading=reading, writing=connection, watch=watch)
    count_batch(connection, batch.id, rows=tally.rows)
    seal_batch(connection, batch.id, run=night.run.id)
    return replace(batch, rows=tally.rows)
