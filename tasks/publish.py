"""`publish`: moves the pointers to what this run made, in one transaction, and says from where to where."""

from domain.report import StageReport
from domain.words import Stage, StageState
from store.batches import load_batch
from store.engine import transaction
from store.publications import publish as move_pointers
from store.runs import load_run
from tasks.context import Night


def publish(night: Night) -> StageReport:
    """Publishes the run's input batch and, when a model was allowed to score it, its predictions.

    Nothing moves when readers already see these batches: the report is then `reused`.
    """
    who = "overnight"
    with transaction(night.engine) as connection:
        run = load_run(connection, night.run.id)
        assert run.input_batch is not None
        landed = load_batch(connection, run.input_batch)
        predicted = load_batch(connection, run.prediction_batch) if run.prediction_batch else None
        moves = move_pointers(connection, run.id, who=who, why=f"run {run.id}")
    number = (predicted or landed).id
    detail = {"input_batch": landed.id, "prediction_batch": predicted.id if predicted else None, "moves": moves}
    if moves == 0:
        reason = f"nothing to do: same input, contract, code and model as batch {number}, which readers see"
        return StageReport(Stage.PUBLISH, StageState.REUSED, reason, rows_in=landed.rows, detail=detail)
    if predicted is None:
        reason = f"batch {number} published without predictions: no model may score this night yet"
        return StageReport(Stage.PUBLISH, StageState.DONE, reason, landed.rows, landed.rows, detail=detail)
    reason = f"batch {number} published: {predicted.rows:,} predictions"
    return StageReport(Stage.PUBLISH, StageState.DONE, reason, predicted.rows, predicted.rows, detail=detail)
