"""When a night is due to train, and on which nights: its age, what changed, drift, and a champion that is of no use any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.drift import NIGHTS_IN_A_ROW, is_shift
from domain.fingerprint import fingerprint
from domain.promotion import Decision, decide_training
from domain.words import BatchKind, BatchState
from store.batches import load_batch
from store.drift import newest_drifts
from store.models import ModelVersion, asked_to_train, champion_for, find_fingerprint, newest_trained
from store.publications import Published, published_batches
from store.runs import load_run
from tasks.artifacts import libraries_here, other_versions
from tasks.context import Night, code_of
from tasks.features import hook_hash
from tasks.folds import Folds, is_shifting

CODE = (  # what decides which model comes out
    "train", "trial", "learning", "features", "encoding", "estimators", "folds", "frames", "leaks",
    "preparing",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ground:
    """What the decision to train is made on."""

    nights: Sequence[Published]
    fingerprint: str
    newest: ModelVersion | None
    same: ModelVersion | None
    champion: ModelVersion | None
    asked: bool
    drifted: str
    shifted: str = ""


def survey(night: Night, connection: sa.Connection) -> Ground:
    pipeline, start = night.pipeline, night.interval.start
    table = load_run(connection, night.run.id).input_batch if pipeline.is_snapshot else None
    nights, name = survey_nights(connection, night.definition, start, table=table)
    newest = newest_trained(connection, pipeline.name, night=start)
    champion = champion_for(connection, pipeline.name, night=start)
    return Ground(
        nights,
        name,
        newest,
        find_fingerprint(connection, pipeline.name, name) or _stopped(newest, name),
        champion,
        asked_to_train(connection, night.run.id),
        _drifted(night, connection, newest, champion),
        _shifted(night, connection, champion or newest, nights),
    )


def _stopped(newest: ModelVersion | None, name: str) -> ModelVersion | None:
    """The newest version, if it learned under this name in a search that its time stopped."""
    return newest if newest is not None and newest.params.get("learned_as") == name else None


def survey_nights(
    connection: sa.Connection, definition: Definition, start: datetime, *, table: int | None = None
) -> tuple[Sequence[Published], str]:
    """The nights that a model for the night that starts at `start` learns from, and the name of what it would be.

    A table that is whole every night holds all that is known, so of such nights it is this one alone: `table` is the
    number of its batch, or it is the one that readers see.
    """
    pipeline = definition.pipeline
    if pipeline.is_snapshot:
        nights = _whole_table(connection, pipeline.name, start, table)
    else:
        earliest = start.astimezone(pipeline.interval.timezone) - pipeline.model.window
        nights = published_batches(connection, pipeline.name, BatchKind.INPUT, start=earliest, end=start)
    name = fingerprint(
        [(each.interval.start.isoformat(), each.content_hash) for each in nights],
        definition_of(definition), code_of(definition, *CODE), libraries_here(),
    )  # fmt: skip
    return nights, name


def _whole_table(connection: sa.Connection, pipeline: str, start: datetime, table: int | None) -> Sequence[Published]:
    if table is None:
        return published_batches(connection, pipeline, BatchKind.INPUT, start=start)[:1]
    batch = load_batch(connection, table)
    return [Published(batch.interval, batch.id, batch.rows, batch.content_hash or "")]


def _drifted(night: Night, connection: sa.Connection, newest: ModelVersion | None, champion: ModelVersion | None) -> str:
    """The sentence that what readers were told has drifted since the newest training, empty when it has not: on each of the
    newest nights the predictions are past the limit and a watched feature has moved with them (docs/decisions/0005-models.md)."""
    limit = night.pipeline.model.drift_limit
    if newest is None or champion is None or limit is None:
        return ""
    found = newest_drifts(
        connection, champion.id, since=newest.trained_for, before=night.interval.start, nights=NIGHTS_IN_A_ROW
    )  # fmt: skip
    adrift = [
        each for each in found if is_shift(each.effect, rows=each.rows, limit=limit) and is_shift(each.cause, rows=each.rows)
    ]
    if len(adrift) < NIGHTS_IN_A_ROW:
        return ""
    return f"the predictions of version {champion.version} have drifted {len(adrift)} nights in a row " + (
        f"(psi {found[0].effect:.2f}, limit {limit:g}), and a feature with them (psi {found[0].cause:.2f})"
    )


def _shifted(
    night: Night, connection: sa.Connection, version: ModelVersion | None, nights: Sequence[Published]
) -> str:  # fmt: skip
    """The sentence that nobody can tell any more which rows a version learned from: the one that speaks of them tonight, the
    champion where there is one. Empty when it can be told, or when no training is due by age at all. Rows that only their lines
    name are lost with every change, those in order of time with the table that was learned from."""
    folds = Folds.from_json(version.params.get("folds")) if version is not None else None
    if version is None or folds is None or not nights or night.pipeline.model.retrain_after is None or folds.by == "key":
        return ""
    learned, anew = load_batch(connection, version.batches[0]), "so which of them it learned from must be told anew"
    if learned.state is BatchState.DROPPED:
        return f"the table that version {version.version} learned from was pruned, and rows are told by it, {anew}"
    if learned.content_hash == nights[0].content_hash or not is_shifting(night.pipeline):
        return ""
    return f"the table is not the one that version {version.version} learned from, and rows have no name but their line, {anew}"


def definition_of(definition: Definition) -> str:
    """A fingerprint of all that the user wrote about learning: target, features, model, columns' types, the folder's Python."""
    pipeline = definition.pipeline
    types = {name: pipeline.columns[name].type for name in (*pipeline.features.columns, pipeline.target.column)}
    return fingerprint(pipeline.model_fingerprint, types, definition.code_hash)


def decide(night: Night, ground: Ground) -> Decision:
    """Whether tonight trains, and why."""
    newest, changed = ground.newest, ""
    if newest is not None and newest.params.get("definition") != definition_of(night.definition):
        changed = "what is written under target, features or model changed"
    elif newest is not None and newest.trained_for == night.interval.start and not ground.shifted:
        changed = "the nights, the code or the libraries that it learned with changed"
    return decide_training(
        night=night.interval.start,
        last_trained_for=newest.trained_for if newest else None,
        retrain_after=night.pipeline.model.retrain_after,
        nights=len(ground.nights),
        needed=1 if night.pipeline.is_snapshot else night.pipeline.model.min_intervals,
        asked=ground.asked,
        changed=changed,
        drifted=ground.drifted,
        unusable=why_unusable(ground.champion, night.definition) or ground.shifted,
    )


def why_unusable(champion: ModelVersion | None, definition: Definition) -> str:
    """The sentence that scoring would refuse the champion here, empty when it would not: then the night trains one that it need
    not refuse."""
    if champion is None:
        return ""
    name, gone = (
        f"the champion, version {champion.version},",
        set(champion.params["columns"]) - definition.pipeline.columns.keys(),
    )
    if other := other_versions(champion.libraries):
        return f"{name} {other[1]}"
    if gone:
        return f"{name} needs the column {min(gone)!r}, which the contract no longer has"
    if champion.params["hook"] and champion.params["hook"] != hook_hash(definition):
        return f"{name} was made with another {definition.pipeline.features.hook or 'features.py'}"
    return ""
