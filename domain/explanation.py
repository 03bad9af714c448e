"""A pipeline in plain sentences: what it reads, checks, learns and shows, as its definition says. Pure."""

from collections.abc import Sequence
from datetime import timedelta

from domain.pipeline import Pipeline
from domain.promotion import HIGHER_IS_BETTER
from domain.words import Severity, Task, counted

Chapter = tuple[str, list[str]]
_METRICS = {
    "roc_auc": "ROC AUC",
    "accuracy": "accuracy",
    "f1": "F1",
    "r2": "R²",
    "log_loss": "log loss",
    "rmse": "RMSE",
    "mae": "MAE",
}


def explain_pipeline(pipeline: Pipeline, severities: Sequence[str]) -> list[Chapter]:
    """Chapters of sentences, in a night's order; `severities` is that of each line of the suite."""
    return [
        ("When", _when(pipeline)),
        ("Ingest", _ingest(pipeline)),
        ("Validate", _validate(pipeline, severities)),
        ("Train", _train(pipeline)),
        ("Score and publish", _publish(pipeline)),
    ]


def _when(pipeline: Pipeline) -> list[str]:
    spec = pipeline.interval
    span = f"from {spec.from_:%Y-%m-%d}" + (f" until {spec.until:%Y-%m-%d}" if spec.until else " on")
    start = f"Prefect starts it by the schedule {pipeline.schedule!r}" if pipeline.schedule else "Nothing starts it but a command"
    missed = {
        "none": "A night that was missed stays missed until somebody asks for it.",
        "latest": "After an outage the newest missed night is taken; older ones stay gaps that readers see.",
        "all": "After an outage every missed night is taken, oldest first.",
    }
    return [
        f"It takes one {spec.every.removeprefix('1 ')} at a time, {span}, by the clocks of {spec.timezone}.",
        f"{start}; readers expect the result by {pipeline.publish.deadline:%H:%M}, and are told that it is late from then on.",
        missed[pipeline.catch_up],
    ]


def _ingest(pipeline: Pipeline) -> list[str]:
    source, columns = pipeline.source, pipeline.columns
    where = {"sql": "a query on a database", "http": f"the address {source.url}"}.get(
        source.kind, f"{source.kind} from {source.path}"
    )
    scope = "the whole table, each night anew" if source.mode == "snapshot" else "the night's rows alone"
    said = [
        f"It reads {where}: {scope}.",
        f"{len(columns)} columns are promised; {_and(pipeline.key)} {'names' if len(pipeline.key) == 1 else 'name'} a row"
        + (f", {pipeline.time_column} says when it happens." if pipeline.time_column else "."),
        f"A row that does not fit is set aside with its place and the reason; more than {_percent(pipeline.rejects.at_most)} "
        "of them hold the night.",
    ]
    if source.look_back:
        said.append(f"The last {_length(source.look_back)} are looked at again, and nights whose source changed are corrected.")
    return said


def _validate(pipeline: Pipeline, severities: Sequence[str]) -> list[str]:
    if not severities:
        return [f"Nothing beyond the contract is checked; overnight suggest {pipeline.name} proposes rules."]
    warnings = sum(severity == Severity.WARNING for severity in severities)
    critical = len(severities) - warnings
    return [
        f"{critical} rule{'s' if critical != 1 else ''} must hold, or the rows that break them are set aside or the night is held"
        + (f"; {warnings} only warn{'s' if warnings == 1 else ''}." if warnings else ".")
    ]


def _train(pipeline: Pipeline) -> list[str]:
    model, target, features = pipeline.model, pipeline.target, pipeline.features
    what = f"whether {target.as_}" if target.as_ else target.column
    kind = ", a number" if target.task is Task.REGRESSION else "" if target.as_ else ", one of its classes"
    said = [f"It predicts {what}{kind}, from {len(features.columns)} columns: {_and(features.columns)}."]
    if features.hook:
        said.append(f"{features.hook} makes features of them.")
    estimator = model.estimator.rpartition(".")[2]
    again = {
        "never": "once, and again only when asked",
        "on drift": "anew when its predictions drift, or after 30 days,",
        "nightly": "anew each night",
    }
    learns = f"{estimator} learns {again.get(model.retrain, model.retrain)} from"
    if pipeline.source.mode == "snapshot":
        said.append(f"{learns} the rows of the snapshot that have an answer.")
    else:
        said.append(
            f"{learns} published nights of the last {_length(model.window)}, none of them after the night that it scores."
        )
    reaches = "reaches" if HIGHER_IS_BETTER[model.metric] else "is at most"
    floor = "" if model.promote.at_least is None else f" {reaches} {model.promote.at_least:g} and"
    said.append(
        f"A new model becomes champion when its {_METRICS[model.metric]} on the newest answers{floor} is better than guessing "
        "and than the champion's."
    )
    return said


def _publish(pipeline: Pipeline) -> list[str]:
    hold = pipeline.publish.hold_if
    limits = [
        f"the rows change by more than {_percent(hold.rows_change)}" if hold.rows_change is not None else "",
        f"more than {_percent(hold.flips)} of the predictions flip" if hold.flips is not None else "",
        f"the predictions' distribution moves by more than {hold.psi:g} (PSI)" if hold.psi is not None else "",
    ]
    kept = [limit for limit in limits if limit]
    runner = {
        "inline": "in one process",
        "docker": "each in a container of its own",
        "dask": "on the workers of a Dask scheduler",
    }
    return [
        "The champion of that night scores each row; readers see the new batch at once and whole, or keep the last good one.",
        f"It is kept from readers if {' or '.join(kept)}."
        if kept
        else "No limit on how far predictions may move keeps them back.",
        f"Its stages run {runner[pipeline.runner.kind]}.",
    ]


def told_night(*, newest: str | None, due: str | None, champion: str | None) -> list[str]:
    """What stands, and what the next run takes: labels of nights, and the champion in words."""
    said = [f"The newest night that readers see is {newest}." if newest else "Nothing has been published yet."]
    said.append(f"The next run takes {due}." if due else "No night is due before the present one ends.")
    said.append(f"{champion} scores it." if champion else "There is no champion yet, so predictions wait for the first model.")
    return said


def _and(names: Sequence[str]) -> str:
    shown = list(names) if len(names) <= 8 else [*names[:7], f"{len(names) - 7} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "nothing but its hook"


def _percent(share: float) -> str:
    return f"{share * 100:g}%"


def _length(span: timedelta) -> str:
    return counted(span.days, "day")
