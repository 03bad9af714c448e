"""What operators ask of the ledger: lists of plain rows, newest last, for the command line."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

Rows = Sequence[dict[str, Any]]

# A night's first publication has nothing before it, and none is ever taken back: those are counted without a look at the batches.
_PIPELINES = """
SELECT p.name, p.title, p.definition, s.interval_start AS newest_start,
    (SELECT count(*) FROM reading.publication u WHERE u.pipeline = p.name AND u.kind = 'prediction' AND u.previous IS NULL)
        AS nights_published,
    s.rows AS newest_rows, s.hindsight_rows AS newest_hindsight_rows, s.verdict AS newest_verdict,
    s.verdict_reason AS newest_verdict_reason,
    n.interval_start AS night_start, n.state, n.reason,
    ARRAY(SELECT w.interval_start FROM reading.waived w WHERE w.pipeline = p.name) AS waived
FROM reading.pipeline p
    LEFT JOIN LATERAL (SELECT * FROM reading.night t WHERE t.pipeline = p.name AND t.interval_start = (
        SELECT interval_start FROM reading.run x WHERE x.pipeline = p.name ORDER BY interval_start DESC LIMIT 1)) n ON true
    LEFT JOIN LATERAL (SELECT interval_start, rows, hindsight_rows, verdict, verdict_reason FROM reading.published s
        WHERE s.pipeline = p.name AND s.kind = 'prediction' ORDER BY interval_start DESC LIMIT 1) s ON true
WHERE CAST(:pipeline AS text) IS NULL OR p.name = :pipeline ORDER BY p.name
"""

_RUNS = """
SELECT * FROM (
    SELECT r.id AS run, r.pipeline, r.interval_start, r.interval_end, r.state, r.reason, r.trigger, r.input_batch,
        r.prediction_batch, m.version AS model, r.started_at, r.ended_at,
        round(extract(epoch FROM r.ended_at - r.started_at)::numeric, 2)::float8 AS seconds,
        coalesce((SELECT json_object_agg(stage, seconds ORDER BY first) FROM (
            SELECT s.stage, min(s.id) AS first, round(sum(extract(epoch FROM s.ended_at - s.started_at))::numeric, 2)::float8
            AS seconds FROM reading.stage_run s WHERE s.run = r.id GROUP BY s.stage) t), '{}') AS stages
    FROM reading.run r LEFT JOIN reading.model m ON m.id = r.model
    WHERE (CAST(:pipeline AS text) IS NULL OR r.pipeline = :pipeline)
        AND (CAST(:start AS timestamptz) IS NULL OR r.interval_start = :start)
        AND (NOT :failed OR r.state IN ('failed', 'crashed', 'held'))
    ORDER BY r.id DESC LIMIT :limit
) newest ORDER BY run
"""

_BATCHES = """
SELECT * FROM (
    SELECT b.id AS batch, b.kind, b.pipeline, b.interval_start, b.interval_end, b.state, b.rows, b.rejected, b.content_hash,
        b.input_batch, m.version AS model, b.hindsight, b.hindsight_rows, b.run, b.sealed_at,
        EXISTS (SELECT FROM reading.published x WHERE x.batch = b.id) AS published,
        (SELECT at FROM reading.pruning d WHERE d.batch = b.id AND d.part = 'rows') AS pruned,
        (SELECT outcome FROM reading.verdict v WHERE v.batch = coalesce(b.input_batch, b.id)
            ORDER BY v.id DESC LIMIT 1) AS verdict
    FROM reading.batch b LEFT JOIN reading.model m ON m.id = b.model
    WHERE b.pipeline = :pipeline AND (CAST(:start AS timestamptz) IS NULL OR b.interval_start = :start)
    ORDER BY b.id DESC LIMIT :limit
) newest ORDER BY batch
"""

_MODELS = """
SELECT m.version, m.trained_for, m.trained_from, m.trained_until, m.rows, m.task, m.metrics, m.sha256, m.created_at,
    a.effective_from AS champion_from, a.why
FROM reading.model m
    LEFT JOIN LATERAL (SELECT effective_from, why FROM reading.alias_move a
        WHERE a.model = m.id AND a.alias = 'champion' ORDER BY a.id DESC LIMIT 1) a ON true
WHERE m.pipeline = :pipeline ORDER BY m.version
"""

_QUALITY = """
SELECT interval_start, model_version, metric, value, dummy, rows FROM reading.quality
WHERE pipeline = :pipeline ORDER BY interval_start, metric
"""


_NEWEST_QUALITY = """
SELECT q.* FROM unnest(CAST(:names AS text[]), CAST(:metrics AS text[])) n (name, metric), LATERAL (
    SELECT pipeline, interval_start, model_version, metric, value, dummy, rows FROM reading.quality q
    WHERE q.pipeline = n.name AND q.metric = n.metric ORDER BY q.interval_start DESC, q.batch DESC LIMIT 1) q
"""


_RETAKEN = """
SELECT pipeline, interval_start, state, reason, ended_at FROM reading.run
WHERE pipeline = ANY (:names) AND trigger = 'late rows' AND started_at >= :since ORDER BY id
"""


_GAPS = "SELECT pipeline, start, until FROM reading.gap WHERE pipeline = ANY (:names) ORDER BY pipeline, start"


_SCOREBOARD = """
SELECT interval_start, role, model_version, batch, metric, value, dummy, rows, first_value, restated, estimate, estimate_low,
    estimate_high, at
FROM reading.scoreboard
WHERE pipeline = :pipeline AND (CAST(:metric AS text) IS NULL OR metric = :metric)
ORDER BY interval_start, role DESC, model_version, metric
"""


_ESTIMATES = """
SELECT pipeline, interval_start, model_version, s.metric, estimate AS value, estimate_low AS low, estimate_high AS high
FROM unnest(CAST(:names AS text[]), CAST(:metrics AS text[]), CAST(:starts AS timestamptz[])) n (name, metric, start), LATERAL (
    SELECT * FROM reading.scoreboard s WHERE s.pipeline = n.name AND s.metric = n.metric AND s.interval_start = n.start
        AND s.role = 'champion' AND s.value IS NULL AND s.estimate IS NOT NULL) s
"""


def _rows(connection: sa.Connection, query: str, **values: object) -> Rows:
    return [dict(line) for line in connection.execute(sa.text(query), values).mappings()]


def list_pipelines(connection: sa.Connection, *, pipeline: str | None = None) -> Rows:
    """Each registered pipeline with its definition, its newest published night, how its newest night stands, what is waived."""
    return _rows(connection, _PIPELINES, pipeline=pipeline)


def list_runs(
    connection: sa.Connection, *, pipeline: str | None, start: datetime | None, failed: bool, limit: int
) -> Rows:  # fmt: skip
    """Runs with the seconds of each stage; `failed` keeps those that failed, crashed or were held."""
    return _rows(connection, _RUNS, pipeline=pipeline, start=start, failed=failed, limit=limit)


def list_batches(connection: sa.Connection, *, pipeline: str, start: datetime | None, limit: int) -> Rows:
    """Batches of both kinds, with the verdict on their input and whether readers see them."""
    return _rows(connection, _BATCHES, pipeline=pipeline, start=start, limit=limit)


def list_models(connection: sa.Connection, *, pipeline: str) -> Rows:
    """Model versions with what was measured when they were trained, and since which night each is champion."""
    return _rows(connection, _MODELS, pipeline=pipeline)


def list_gaps(connection: sa.Connection, names: Sequence[str]) -> Rows:
    """The spans between published nights of which nothing is published and that nobody has waived, by pipeline, oldest first."""
    return _rows(connection, _GAPS, names=list(names))


def list_quality(connection: sa.Connection, *, pipeline: str) -> Rows:
    """Realised quality: one row per published night and metric, beside the dummy's."""
    return _rows(connection, _QUALITY, pipeline=pipeline)


def newest_quality(connection: sa.Connection, metrics: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The newest realised figure of each pipeline's metric, by pipeline; of some there is none."""
    lines = _rows(connection, _NEWEST_QUALITY, names=[*metrics], metrics=[*metrics.values()])
    return {line.pop("pipeline"): line for line in lines}


def list_retaken(connection: sa.Connection, names: Sequence[str], *, since: datetime) -> Rows:
    """The nights that were taken again for late rows since then, oldest run first."""
    return _rows(connection, _RETAKEN, names=list(names), since=since)


def list_scoreboard(connection: sa.Connection, *, pipeline: str, metric: str | None = None) -> Rows:
    """Champion, challengers and dummy night by night, realised and estimated; every metric, or one."""
    return _rows(connection, _SCOREBOARD, pipeline=pipeline, metric=metric)


def find_estimates(
    connection: sa.Connection, wanted: Mapping[str, tuple[str, datetime]]
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """What the predictions of one published night of each pipeline should be worth by one metric; none once its answers say it,
    and when nothing was estimated."""
    if not wanted:
        return {}
    metrics, starts = zip(*wanted.values(), strict=True)
    lines = _rows(connection, _ESTIMATES, names=[*wanted], metrics=[*metrics], starts=[*starts])
    return {line.pop("pipeline"): line for line in lines}
