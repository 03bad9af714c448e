"""Model versions and who was champion when. Artifacts are bytes here; `tasks` alone knows how to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from domain.interval import Interval
from domain.words import Stage
from store import schema
from store.runs import FROM_STAGE, Run


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model's line without its bytes. `out_of_fold`: each row whose answer it learned is scored by a twin that did not."""

    id: int
    pipeline: str
    version: int
    trained_for: datetime
    trained_until: datetime
    fingerprint: str
    metrics: Mapping[str, Any]
    libraries: Mapping[str, str]
    trusted_types: Sequence[str]
    sha256: str
    params: Mapping[str, Any]
    out_of_fold: bool = False
    batches: Sequence[int] = ()

    @property
    def may_score_from(self) -> datetime:
        """The start of the first night that it may score (law 5)."""
        return self.trained_for if self.out_of_fold else self.trained_until


_MAY_SCORE_FROM = sa.case((schema.model.c.out_of_fold, schema.model.c.trained_for), else_=schema.model.c.trained_until)
_FIELDS = [schema.model.c[name] for name in ModelVersion.__dataclass_fields__]


def _version(line: Any) -> ModelVersion:
    return ModelVersion(*line)


def save_model(
    connection: sa.Connection,
    run: Run,
    *,
    trained_from: datetime,
    trained_until: datetime,
    batches: Sequence[int],
    rows: int,
    task: str,
    fingerprint: str,
    metrics: Mapping[str, Any],
    params: Mapping[str, Any],
    card: Mapping[str, Any],
    libraries: Mapping[str, str],
    trusted_types: Sequence[str],
    artifact: bytes,
    sha256: str,
    out_of_fold: bool = False,
) -> ModelVersion:
    """A new version, numbered from 1 within the pipeline; the database checks the hash against the bytes."""
    connection.execute(sa.text("SELECT overnight.require_running(:run)"), {"run": run.id})
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"models {run.pipeline}"})
    following = sa.select(sa.func.coalesce(sa.func.max(schema.model.c.version), 0) + 1).where(
        schema.model.c.pipeline == run.pipeline
    )
    line = connection.execute(
        sa.insert(schema.model)
        .values(
            pipeline=run.pipeline, version=following.scalar_subquery(), trained_for=run.interval.start,
            trained_from=trained_from, trained_until=trained_until, batches=list(batches), rows=rows, task=task,
            fingerprint=fingerprint, metrics=dict(metrics), params=dict(params), card=dict(card), libraries=dict(libraries),
            trusted_types=list(trusted_types), artifact=artifact, sha256=sha256, run=run.id,
            out_of_fold=out_of_fold,
        )
        .returning(*_FIELDS)
    ).one()  # fmt: skip
    return _version(line)


def load_version(connection: sa.Connection, model_id: int) -> ModelVersion:
    return _version(connection.execute(sa.select(*_FIELDS).where(schema.model.c.id == model_id)).one())


def load_artifact(connection: sa.Connection, model_id: int) -> bytes:
    return bytes(connection.execute(sa.select(schema.model.c.artifact).where(schema.model.c.id == model_id)).scalar_one())


def find_fingerprint(connection: sa.Connection, pipeline: str, fingerprint: str) -> ModelVersion | None:
    """The newest version that learned the same from the same."""
    return _first(
        connection,
        sa.select(*_FIELDS)
        .where(schema.model.c.pipeline == pipeline, schema.model.c.fingerprint == fingerprint)
        .order_by(schema.model.c.version.desc()),
    )


def newest_trained(connection: sa.Connection, pipeline: str, *, night: datetime) -> ModelVersion | None:
    """The version whose training night is the newest at or before `night`, promoted or not."""
    return _first(
        connection,
        sa.select(*_FIELDS)
        .where(schema.model.c.pipeline == pipeline, schema.model.c.trained_for <= night)
        .order_by(schema.model.c.trained_for.desc(), schema.model.c.version.desc()),
    )


def champion_for(connection: sa.Connection, pipeline: str, *, night: datetime) -> ModelVersion | None:
    """The champion of the night that starts at `night`: of the moves that hold for it, to models that may score
    it (law 5), the one that holds from the latest night on, the newest move first."""
    return _first(
        connection,
        sa.select(*_FIELDS)
        .join(schema.alias_move, schema.alias_move.c.model == schema.model.c.id)
        .where(
            schema.alias_move.c.pipeline == pipeline,
            schema.alias_move.c.alias == "champion",
            schema.alias_move.c.effective_from <= night,
            night >= _MAY_SCORE_FROM,
        )
        .order_by(schema.alias_move.c.effective_from.desc(), schema.alias_move.c.id.desc()),
    )


def promoted_for(connection: sa.Connection, pipeline: str, night: datetime) -> int | None:
    """The version that became champion from this very night on."""
    moves = (
        sa.select(schema.model.c.version)
        .join(schema.alias_move, schema.alias_move.c.model == schema.model.c.id)
        .where(
            schema.alias_move.c.pipeline == pipeline,
            schema.alias_move.c.alias == "champion",
            schema.alias_move.c.effective_from == night,
        )
    )
    return connection.scalar(moves.order_by(schema.alias_move.c.id.desc()).limit(1))


def challenger_to(connection: sa.Connection, champion: ModelVersion, *, night: datetime) -> ModelVersion | None:
    """The newest version made after the champion and for a night no later than this one, None when the champion is newest."""
    return _first(
        connection,
        sa.select(*_FIELDS)
        .where(
            schema.model.c.pipeline == champion.pipeline,
            schema.model.c.version > champion.version,
            schema.model.c.trained_for <= night,
        )
        .order_by(schema.model.c.version.desc()),
    )


def newest_challenger(connection: sa.Connection, pipeline: str) -> tuple[int, str] | None:
    """The version that lost last, and why it did."""
    line = connection.execute(
        sa.select(schema.model.c.version, schema.alias_move.c.why)
        .join(schema.alias_move, schema.alias_move.c.model == schema.model.c.id)
        .where(schema.alias_move.c.pipeline == pipeline, schema.alias_move.c.alias == "challenger")
        .order_by(schema.alias_move.c.id.desc())
    ).first()
    return (line.version, line.why) if line is not None else None


def newest_champion(connection: sa.Connection, pipeline: str) -> ModelVersion | None:
    """Today's champion, whatever night it holds from: what a run in hindsight is scored with."""
    return _first(
        connection,
        sa.select(*_FIELDS)
        .join(schema.alias_move, schema.alias_move.c.model == schema.model.c.id)
        .where(schema.alias_move.c.pipeline == pipeline, schema.alias_move.c.alias == "champion")
        .order_by(schema.alias_move.c.effective_from.desc(), schema.alias_move.c.id.desc()),
    )


def asked_to_train(connection: sa.Connection, run_id: int) -> bool:
    """Whether whoever started the run said so: `retrain` in its holder, to begin at training, or a model as if trained for that
    night."""
    holder = connection.scalar(sa.select(schema.run.c.holder).where(schema.run.c.id == run_id)) or {}
    return bool(holder.get("retrain")) or holder.get(FROM_STAGE) == Stage.TRAIN or holder.get("model") == "as-if"


def model_asked_for(connection: sa.Connection, run_id: int) -> str:
    """Which model the run was asked to score with (`model` in its holder): as-due, as-was, as-if or hindsight."""
    holder = connection.scalar(sa.select(schema.run.c.holder).where(schema.run.c.id == run_id))
    return str((holder or {}).get("model", "as-due"))


def _first(connection: sa.Connection, query: sa.Select[Any]) -> ModelVersion | None:
    line = connection.execute(query.limit(1)).first()
    return _version(line) if line else None


def move_alias(
    connection: sa.Connection,
    pipeline: str,
    alias: str,
    *,
    model: int,
    previous: int | None,
    effective_from: datetime,
    who: str,
    why: str,
    evidence: Mapping[str, Any],
) -> None:
    """One line of the promotion journal; `effective_from` is the first night that the move holds for."""
    connection.execute(
        sa.insert(schema.alias_move).values(
            pipeline=pipeline, alias=alias, model=model, previous=previous, effective_from=effective_from, who=who, why=why,
            evidence=dict(evidence),
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One line of the promotion journal. `model` and `previous` are the ledger's numbers, `version` the pipeline's."""

    id: int
    alias: str
    model: int
    version: int
    previous: int | None
    effective_from: datetime
    who: str
    why: str
    evidence: Mapping[str, Any]
    at: datetime


def list_moves(connection: sa.Connection, pipeline: str, *, alias: str | None = None) -> Sequence[AliasMove]:
    """The promotion journal, newest first."""
    moves, models = schema.alias_move, schema.model
    columns = [models.c.version if name == "version" else moves.c[name] for name in AliasMove.__dataclass_fields__]
    query = sa.select(*columns).join(models, models.c.id == moves.c.model).where(moves.c.pipeline == pipeline)
    if alias is not None:
        query = query.where(moves.c.alias == alias)
    return [AliasMove(*line) for line in connection.execute(query.order_by(moves.c.id.desc()))]


def find_version(connection: sa.Connection, pipeline: str, version: int) -> ModelVersion | None:
    """The version with that number, None when there is none."""
    return _first(connection, sa.select(*_FIELDS).where(schema.model.c.pipeline == pipeline, schema.model.c.version == version))


def record_action(
    connection: sa.Connection, pipeline: str, what: str, *, who: str, interval_start: datetime | None, detail: Mapping[str, Any]
) -> None:
    """One line of what operators did."""
    connection.execute(
        sa.insert(schema.action).values(
            pipeline=pipeline, what=what, who=who, interval_start=interval_start, detail=dict(detail)
        )
    )  # fmt: skip


def nights_scored_by(connection: sa.Connection, model: int, *, since: datetime) -> Sequence[Interval]:
    """The intervals from `since` on whose published predictions are this model's, oldest first."""
    lines = connection.execute(
        sa.select(schema.pointer.c.interval_start, schema.pointer.c.interval_end)
        .join(schema.batch, schema.batch.c.id == schema.pointer.c.batch)
        .where(schema.batch.c.model == model, schema.batch.c.kind == "prediction", schema.pointer.c.interval_start >= since)
        .order_by(schema.pointer.c.interval_start)
    )
    return [Interval(line.interval_start, line.interval_end) for line in lines]
