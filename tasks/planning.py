"""Plans: what the schedule's run does tonight, and which nights of a range have a reason to be taken again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import Refused, SourceError
from domain.interval import Interval
from domain.planning import Cost, Known, Mode, ModelMode, Plan, PlannedNight, Tonight, differences, plan_nights, plan_tonight
from infra.settings import Settings
from store.batches import Recipe
from store.engine import transaction
from store.models import champion_for, newest_trained
from store.nights import history_of, history_of_each, known_nights
from store.recovery import close_dead_runs
from tasks.changes import input_changes, own_code
from tasks.context import code_of, writer_engine
from tasks.recovery import is_holder_alive


def plan_scheduled(definition: Definition, own: Interval, settings: Settings, *, tick: datetime, now: datetime) -> Tonight:
    """What the run of the schedule's `tick` does when it starts at `now`, by the pipeline's catch-up policy. A night whose
    process died is missing, whether anybody has noticed or not."""
    pipeline, engine = definition.pipeline, writer_engine(settings)
    close_dead_runs(engine, is_alive=is_holder_alive)
    with transaction(engine) as connection:
        known = known_nights(connection, pipeline.name, start=pipeline.calendar.first.start, end=now)
    return plan_tonight(pipeline.calendar, pipeline.catch_up, own=own, tick=tick, now=now, known=known)


def plan_range(
    definition: Definition, nights: Sequence[Interval], settings: Settings, *, mode: Mode, model: ModelMode = "as-due"
) -> tuple[PlannedNight, ...]:
    """The nights of a range that `mode` takes, each with its reason. Only `changed` and `all` read the sources."""
    if not nights:
        return ()
    engine, name, start, end = writer_engine(settings), definition.pipeline.name, nights[0].start, nights[-1].end
    close_dead_runs(engine, is_alive=is_holder_alive)
    with transaction(engine) as connection:
        known = known_nights(connection, name, start=start, end=end)
        if mode in ("changed", "all"):
            made = _made_from(connection, name, start=start, end=end)
            known = {
                at: _with_changes(connection, definition, night, made.get(at), settings, model=model)
                for at, night in known.items()
            }
    return plan_nights(nights, mode, known=known, model=model)


def make_plan(
    definition: Definition, first: Interval, last: Interval, settings: Settings, *, mode: Mode, model: ModelMode = "as-due"
) -> Plan:
    """The plan of a backfill from `first` to `last`, with what it will cost by the nights taken before."""
    from tasks import due, score

    pipeline = definition.pipeline
    label = pipeline.calendar.label
    planned = plan_range(definition, list(pipeline.calendar.between(first, last)), settings, mode=mode, model=model)
    costs = _costs(definition, planned, settings)
    made_with = {
        "contract": pipeline.contract_fingerprint,
        "model": pipeline.model_fingerprint,
        "suite": definition.suite_hash,
        "hook": definition.code_hash,
        "ingestion code": own_code(code_of(definition, "ingest")),
        "training code": own_code(code_of(definition, *due.CODE)),
        "scoring code": own_code(code_of(definition, *score.CODE)),
    }
    return Plan(
        pipeline.name, mode, label(first), label(last), {label(one.interval): one.why for one in planned}, made_with,
        rows=sum(each["rows"] for each in costs.values()) if costs else None,
        seconds=round(sum(each["seconds"] for each in costs.values()), 1) if costs else None, model=model, costs=costs,
    )  # fmt: skip


def _costs(definition: Definition, planned: Sequence[PlannedNight], settings: Settings) -> dict[str, Cost]:
    """A night that was published before costs what it did then, any other what is usual; empty when none ever was."""
    if not planned:
        return {}
    name, label = definition.pipeline.name, definition.pipeline.calendar.label
    with transaction(writer_engine(settings)) as connection:
        rows, seconds = history_of(connection, name)
        own = history_of_each(connection, name, start=planned[0].interval.start, end=planned[-1].interval.end)
    if rows is None or seconds is None:
        return {}
    each = {label(one.interval): own.get(one.interval.start, (rows, seconds)) for one in planned}
    return {night: Cost(rows=round(read), seconds=round(took, 1)) for night, (read, took) in each.items()}


def check_plan(plan: Plan, definition: Definition, settings: Settings) -> list[Interval]:
    """The nights of a plan that still holds; raises Refused that names what changed since it was made."""
    calendar = definition.pipeline.calendar
    first, last = calendar.named(plan.first), calendar.named(plan.last)
    changes = differences(plan, make_plan(definition, first, last, settings, mode=plan.mode, model=plan.model))
    if changes:
        more = f", and {len(changes) - 3} more" if len(changes) > 3 else ""
        raise Refused(
            f"the plan was made for another state of things: {'; '.join(changes[:3])}{more}",
            where=plan.pipeline,
            hint=f"overnight plan {plan.pipeline} --from {plan.first} --to {plan.last} --mode {plan.mode}"
            + (f" --model {plan.model}" if plan.model != "as-due" else ""),
        )
    return [calendar.named(label) for label in plan.nights]


# What the published batches of each night were made from, and by which model.
_MADE_FROM = sa.text("""
SELECT b.interval_start, b.interval_end, b.run, b.source, b.contract_hash, b.code, b.image,
    (SELECT v.suite_hash FROM overnight.verdict v WHERE v.batch = b.id ORDER BY v.id DESC LIMIT 1) AS suite_hash,
    s.code AS scoring_code, s.columns AS said, s.model, coalesce(s.hindsight, false) AS hindsight
FROM overnight.pointer p JOIN overnight.batch b ON b.id = p.batch
    LEFT JOIN overnight.pointer q
        ON q.pipeline = p.pipeline AND q.kind = 'prediction' AND q.interval_start = p.interval_start
    LEFT JOIN overnight.batch s ON s.id = q.batch
WHERE p.pipeline = :pipeline AND p.kind = 'input' AND p.interval_start >= :start AND p.interval_start < :end
""")


def _made_from(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> Mapping[datetime, Any]:
    lines = connection.execute(_MADE_FROM, {"pipeline": pipeline, "start": start, "end": end})
    return {line.interval_start: line for line in lines}


def _with_changes(
    connection: sa.Connection, definition: Definition, night: Known, made: Any | None, settings: Settings, *, model: ModelMode
) -> Known:
    """What a rerun would find changed since readers got the night. The model's side is compared only where the run would
    choose the model as it is due."""
    if made is None:
        return night
    interval = Interval(made.interval_start, made.interval_end)
    recipe = Recipe(made.run, made.source.get("files", []), made.contract_hash, made.suite_hash, made.code, made.image)
    changes = input_changes(definition, recipe, source=_source_now(definition, interval, settings))
    if model == "as-due":
        changes += _changes_of_model(connection, definition, made)
    return replace(night, changed=tuple(changes))


def _changes_of_model(connection: sa.Connection, definition: Definition, made: Any) -> list[str]:
    """`training` stands for the nights, the code and the libraries that the model of a night that trained learned with."""
    from tasks import due, score

    name, start = definition.pipeline.name, made.interval_start
    newest, champion = newest_trained(connection, name, night=start), champion_for(connection, name, night=start)
    trained_here = newest is not None and newest.trained_for == start
    changes = {
        "model": newest is not None and newest.params.get("definition") != due.definition_of(definition),
        "training": newest is not None
        and trained_here
        and newest.fingerprint != due.survey_nights(connection, definition, start)[1],
        "champion": not made.hindsight and champion is not None and champion.id != made.model,
        "what predictions hold": made.said is not None and set(made.said) != set(score.kept_columns(definition.pipeline)),
        "scoring code": bool(made.scoring_code) and own_code(made.scoring_code) != own_code(code_of(definition, *score.CODE)),
    }
    return [name for name, changed in changes.items() if changed]


def _source_now(definition: Definition, interval: Interval, settings: Settings) -> list[str]:
    """The hashes of the night's source as it is now; none when it is gone."""
    from tasks.ingest.take import take_source

    pipeline, server = definition.pipeline, writer_engine(settings).url
    zone, data = pipeline.interval.timezone, settings.data_folder
    try:
        with take_source(pipeline.source, interval, zone=zone, data=data, server=server) as taken:
            return [file.sha256 for file in taken.files]
    except SourceError:
        return []
