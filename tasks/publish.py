"""`publish`: moves the pointers to what this run made, in one transaction, and says from where to where."""

from typing import Any

import sqlalchemy as sa

from domain.diff import decide_hold
from domain.report import StageReport
from domain.standing import WITHOUT_PREDICTIONS
from domain.words import BatchKind, Stage, StageState
from store.actions import is_released, standing_hold
from store.batches import Batch, load_batch
from store.engine import transaction
from store.publications import publish as move_pointers
from store.publications import published_batches
from store.runs import load_run, stage_reports
from tasks.context import Night
from tasks.diff import diff_night


def publish(night: Night) -> StageReport:
    """Publishes the run's input batch and, when a model was allowed to score it, its predictions.

    Nothing moves when readers already see these batches: the report is then `reused`. Held when an operator holds the
    night, or when the predictions differ from the last published night's by more than `publish.hold_if` allows.
    """
    if night.run.keeps(Stage.PUBLISH):
        why = f"readers keep what they see, for the run was to begin at {night.run.from_stage}"
        return StageReport(Stage.PUBLISH, StageState.REUSED, why)
    who = "overnight"
    with transaction(night.engine) as connection:
        run = load_run(connection, night.run.id)
        assert run.input_batch is not None
        landed = load_batch(connection, run.input_batch)
        predicted = load_batch(connection, run.prediction_batch) if run.prediction_batch else None
        diff, held = compare(connection, night, landed, predicted)
        if held:
            return StageReport(
                Stage.PUBLISH, StageState.HELD, held, landed.rows,
                detail={"input_batch": landed.id, "prediction_batch": run.prediction_batch, "moves": 0, "diff": diff},
            )  # fmt: skip
        moves = move_pointers(connection, run.id, who=who, why=f"run {run.id}")
        why = next((said.reason for said in stage_reports(connection, run.id) if said.stage is Stage.SCORE), "")
    number = (predicted or landed).id
    detail = {"input_batch": landed.id, "prediction_batch": predicted.id if predicted else None, "moves": moves, "diff": diff}
    if moves == 0:
        reason = f"nothing to do: same input, contract, code and model as batch {number}, which readers see"
        return StageReport(Stage.PUBLISH, StageState.REUSED, reason, rows_in=landed.rows, detail=detail)
    if predicted is None:
        reason = f"batch {number}{WITHOUT_PREDICTIONS}{why or 'no model may score this night yet'}"
        return StageReport(Stage.PUBLISH, StageState.DONE, reason, landed.rows, landed.rows, detail=detail)
    reason = f"batch {number} published: {predicted.rows:,} predictions"
    return StageReport(Stage.PUBLISH, StageState.DONE, reason, predicted.rows, predicted.rows, detail=detail)


def compare(
    connection: sa.Connection, night: Night, landed: Batch, predicted: Batch | None
) -> tuple[dict[str, Any] | None, str | None]:
    """How tonight differs from the last published night, and the sentence that holds it, if any. Predictions that readers
    see already, and a night that an operator has released, are compared and not held."""
    name, interval = night.pipeline.name, night.interval
    held = standing_hold(connection, name, interval)
    if predicted is None:
        return None, held or _keep_rows_and_predictions_together(connection, night, landed)
    diff = diff_night(connection, night.pipeline, predicted)
    if diff is None:
        return None, held
    seen = published_batches(connection, name, BatchKind.PREDICTION, start=interval.start, end=interval.end)
    free = is_released(connection, name, interval, input_batch=landed.id) or predicted.id in {each.batch for each in seen}
    return diff.to_json(), held or (None if free else decide_hold(diff, night.pipeline.publish.hold_if))


def _keep_rows_and_predictions_together(connection: sa.Connection, night: Night, landed: Batch) -> str | None:
    """Readers never get new rows beside predictions for the old ones: where predictions are published and no model may
    score the new rows, the night is held and both stay."""
    name, interval = night.pipeline.name, night.interval
    seen = published_batches(connection, name, BatchKind.PREDICTION, start=interval.start, end=interval.end)
    if not seen or load_batch(connection, seen[-1].batch).input_batch == landed.id:
        return None
    return f"held: no model may score the new rows, so readers keep batch {seen[-1].batch} and the rows that it was made from"
