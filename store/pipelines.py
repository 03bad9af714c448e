"""Each pipeline's own tables and views: an inner schema for batches, a reading schema for everybody."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from psycopg2 import sql
from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import insert

from domain.errors import DefinitionError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.withheld import withhold_definition
from domain.words import Task
from store import schema
from store.engine import driver_cursor, transaction

POSTGRES_TYPES = {
    "bool": "boolean",
    "int": "bigint",
    "float": "double precision",
    "decimal": "numeric",
    "text": "text",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "json": "jsonb",
}
MORE = "more"  # where a contract that adds new columns keeps them, as {name: text}
RANGE = ("lower", "upper")  # beside a predicted number, where model.coverage asks for them
EVERY = "probabilities"  # of all classes, as {class: probability}, where model.probabilities asks for them
_OF_PREDICTIONS = frozenset({"batch_id", "prediction", "probability", "model_version", "hindsight", *RANGE, EVERY})
_COLUMNS_OF = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


def landed_types(pipeline: Pipeline) -> dict[str, str]:
    """The columns of a night's rows, and what they are in Postgres."""
    kinds = {name: POSTGRES_TYPES[column.type] for name, column in pipeline.columns.items()}
    return kinds | {MORE: POSTGRES_TYPES["json"]} if pipeline.new_columns == "add" else kinds


def inner_schema(name: str) -> str:
    """The schema that holds a pipeline's batches; stages alone see it."""
    return f"overnight_{name}"


def prediction_type(pipeline: Pipeline) -> str:
    """A yes/no target predicts a boolean, a regression a number, any other classification the class as text."""
    if pipeline.target.task is Task.REGRESSION:
        return "double precision"
    return "boolean" if pipeline.target.rule else "text"


def register(owner: sa.Engine, pipeline: Pipeline, *, expectations: list[dict[str, Any]]) -> None:
    """Records the definition and makes the pipeline's schemas, tables and views agree with it. Safe to repeat.

    `owner` acts as overnight_owner. Columns are only ever added: raises DefinitionError when a column that batches
    already hold has another type now, and when the key, the kind of answer or the cut of the nights is another one.
    """
    definition = withhold_definition(pipeline.model_dump(mode="json", by_alias=True))
    definition["interval"]["timezone"] = str(pipeline.interval.timezone)
    values = {
        "name": pipeline.name,
        "title": pipeline.title,
        "owner": pipeline.owner,
        "definition": definition,
        "expectations": expectations,
    }
    with transaction(owner) as connection:
        known = connection.execute(sa.select(schema.pipeline).where(schema.pipeline.c.name == pipeline.name)).mappings().first()
        unchanged = known and all(known[column] == value for column, value in values.items())
        if unchanged and connection.scalar(sa.text("SELECT to_regclass(:view)"), {"view": f"{pipeline.name}.pruned"}):
            return  # the view is looked for because a database may be older than it
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": pipeline.name})
        connection.execute(
            insert(schema.pipeline)
            .values(**values)
            .on_conflict_do_update(index_elements=["name"], set_={**values, "registered_at": schema.now()})
        )
        _make_tables(connection, pipeline)
        if pipeline.model.coverage is not None:
            _add_to_predictions(connection, pipeline, dict.fromkeys(RANGE, "double precision"))
        if pipeline.keeps_probabilities:
            _add_to_predictions(connection, pipeline, {EVERY: "jsonb"})
        _make_views(connection, pipeline)


def declared_pipeline(connection: sa.Connection, name: str) -> Pipeline | None:
    """As it was last registered; None where it never was, or what another release wrote cannot be read by this one."""
    known = connection.scalar(sa.select(schema.pipeline.c.definition).where(schema.pipeline.c.name == name))
    try:
        return Pipeline.model_validate(known) if known else None
    except ValidationError:
        return None


_NOTE_FAULTS = sa.text("""
UPDATE overnight.pipeline p SET fault = n.fault FROM jsonb_each_text(CAST(:faults AS jsonb)) n (name, fault)
WHERE p.name = n.name AND p.fault IS DISTINCT FROM n.fault RETURNING p.name, p.fault
""")


def note_faults(owner: sa.Engine, faults: Mapping[str, str | None]) -> dict[str, str | None]:
    """Writes down what is wrong with each pipeline's folder, None for nothing, for readers who see no folders; returns those of
    which something else was known. One that was never registered has no line to write on."""
    with transaction(owner) as connection:
        return {line.name: line.fault for line in connection.execute(_NOTE_FAULTS, {"faults": json.dumps(faults)})}


def _execute(connection: sa.Connection, statement: sql.Composable) -> None:
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)


def _columns_of(connection: sa.Connection, table: str) -> dict[str, str]:
    return {line.attname: line.format_type for line in connection.execute(sa.text(_COLUMNS_OF), {"table": table})}


def _make_tables(connection: sa.Connection, pipeline: Pipeline) -> None:
    inner = inner_schema(pipeline.name)
    wanted = landed_types(pipeline)
    existing = _columns_of(connection, f"{inner}.landed")
    if not existing:
        _execute(connection, sql.SQL(_CREATE).format(
            inner=sql.Identifier(inner),
            landed=_declared(wanted),
            key=_listed(pipeline.key),
            key_columns=_declared({name: wanted[name] for name in pipeline.key}),
            prediction=sql.SQL(prediction_type(pipeline)),
        ))  # fmt: skip
        return
    _refuse_another_question(connection, pipeline)
    _refuse_another_cut(connection, pipeline)
    for name, kind in wanted.items():
        if name not in existing:
            add = "ALTER TABLE {}.landed ADD COLUMN {} " + kind
            _execute(connection, sql.SQL(add).format(sql.Identifier(inner), sql.Identifier(name)))
        elif existing[name] != kind:
            raise DefinitionError(
                f"column {name!r} holds {existing[name]} in batches that are kept, so it cannot become {kind}; "
                "give the new column another name",
                where=f"deployments/{pipeline.name}/pipeline.yaml",
            )


def _refuse_another_question(connection: sa.Connection, pipeline: Pipeline) -> None:
    """Views join kept rows to kept predictions by the key, so a key that changed would change what old nights show."""
    kept = _columns_of(connection, f"{inner_schema(pipeline.name)}.predictions")
    key = tuple(name for name in kept if name not in _OF_PREDICTIONS)
    where = f"deployments/{pipeline.name}/pipeline.yaml"
    if set(key) != set(pipeline.key):
        raise DefinitionError(
            f"batches that are kept are named by {', '.join(key)}, so the key cannot become {', '.join(pipeline.key)}; "
            "give the pipeline another name",
            where=where,
        )
    if kept["prediction"] != prediction_type(pipeline):
        raise DefinitionError(
            f"predictions that are kept are {kept['prediction']}, so they cannot become {prediction_type(pipeline)}; "
            "give the pipeline another name",
            where=where,
        )


_NEWEST_NIGHT = sa.text("""
SELECT interval_start, interval_end FROM overnight.pointer WHERE pipeline = :name ORDER BY interval_start DESC LIMIT 1
""")


def _refuse_another_cut(connection: sa.Connection, pipeline: Pipeline) -> None:
    """A night is named by its start, so in another calendar what readers see would be called another night, or part of one."""
    newest = connection.execute(_NEWEST_NIGHT, {"name": pipeline.name}).first()
    if newest is None:
        return
    seen = Interval(newest.interval_start, newest.interval_end)
    if pipeline.calendar.containing(seen.start) != seen:
        raise DefinitionError(
            f"nights that readers see are cut otherwise (the newest from {seen.start.isoformat()} to {seen.end.isoformat()}), "
            "so the interval cannot become this one; give the pipeline another name",
            where=f"deployments/{pipeline.name}/pipeline.yaml",
        )


def _add_to_predictions(connection: sa.Connection, pipeline: Pipeline, columns: dict[str, str]) -> None:
    """Batches of before have none of these, and their hash covers the columns that it named: they stay what they are."""
    for name, kind in columns.items():
        add = sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} " + kind)
        _execute(connection, add.format(sql.Identifier(inner_schema(pipeline.name), "predictions"), sql.Identifier(name)))


def _shown(connection: sa.Connection, pipeline: Pipeline) -> sql.Composable:
    """What views show beside the trust line and the prediction. Views are replaced in place, so what they have keeps its
    order: the contract's columns, a range, or probabilities that came later stand at the end."""
    inner = inner_schema(pipeline.name)
    landed = [name for name in _columns_of(connection, f"{inner}.landed") if name != "batch_id"]
    of = dict.fromkeys(landed, "l") | {n: "p" for n in (*RANGE, EVERY) if n in _columns_of(connection, f"{inner}.predictions")}
    before = [name for name in _columns_of(connection, f"{pipeline.name}.history") if name in of]
    names = dict.fromkeys([*before, *of])
    return sql.SQL(", ").join(sql.Identifier(of[name], name) for name in names)


def _make_views(connection: sa.Connection, pipeline: Pipeline) -> None:
    inner = inner_schema(pipeline.name)
    names = {
        "name": sql.Literal(pipeline.name),
        "reading": sql.Identifier(pipeline.name),
        "inner": sql.Identifier(inner),
        "shown": _shown(connection, pipeline),
        "same_key": sql.SQL(" AND ").join(
            sql.SQL("l.{0} = p.{0}").format(sql.Identifier(name)) for name in pipeline.key
        ),
    }  # fmt: skip
    _execute(connection, sql.SQL(_VIEWS).format(**names))


def _declared(columns: dict[str, str]) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("{} ").format(sql.Identifier(name)) + sql.SQL(kind) for name, kind in columns.items()
    )  # fmt: skip


def _listed(names: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


_CREATE = """
CREATE SCHEMA {inner};
GRANT USAGE, CREATE ON SCHEMA {inner} TO overnight_writer;
GRANT USAGE ON SCHEMA {inner} TO overnight_stage;
GRANT CREATE ON SCHEMA {inner} TO overnight_ingest, overnight_validate, overnight_score;
CREATE TABLE {inner}.landed (batch_id bigint NOT NULL, {landed}) PARTITION BY LIST (batch_id);
CREATE UNIQUE INDEX landed_key ON {inner}.landed (batch_id, {key});
CREATE TABLE {inner}.rejected (
    batch_id bigint NOT NULL,
    source text,              -- the file, as the source names it
    line bigint,              -- counted from 1, the header included; none where rows have no place
    column_name text,
    value text,               -- shortened
    rule text NOT NULL,       -- 'type', 'null', 'key', 'shape', or the expectation's name
    reason text NOT NULL,     -- a sentence
    row_text text             -- the row as it came, shortened
) PARTITION BY LIST (batch_id);
CREATE INDEX rejected_batch ON {inner}.rejected (batch_id, line);
CREATE TABLE {inner}.predictions (
    batch_id bigint NOT NULL, {key_columns},
    prediction {prediction},
    probability double precision,
    model_version integer NOT NULL,
    hindsight boolean NOT NULL DEFAULT false
) PARTITION BY LIST (batch_id);
CREATE UNIQUE INDEX predictions_key ON {inner}.predictions (batch_id, {key});
GRANT SELECT ON ALL TABLES IN SCHEMA {inner} TO overnight_writer, overnight_stage;
"""

# The trust line's columns come first, so that a contract that grows appends its columns and the views are replaced in place.
_VIEWS = """
CREATE SCHEMA IF NOT EXISTS {reading};
GRANT USAGE ON SCHEMA {reading} TO overnight_reader, overnight_writer;
CREATE OR REPLACE VIEW {reading}.published AS
    SELECT r.interval_start, r.interval_end, r.batch, p.model_version, r.published_at, r.verdict, p.hindsight,
        p.prediction, p.probability, {shown}
    FROM reading.published r
        JOIN {inner}.predictions p ON p.batch_id = r.batch
        JOIN {inner}.landed l ON l.batch_id = r.input_batch AND {same_key}
    WHERE r.pipeline = {name} AND r.kind = 'prediction';
CREATE OR REPLACE VIEW {reading}.latest AS
    SELECT * FROM {reading}.published WHERE interval_start = (
        SELECT max(interval_start) FROM overnight.pointer WHERE pipeline = {name} AND kind = 'prediction');
-- Every prediction batch that readers were ever shown, as long as its rows are kept. Both numbers are columns so that a reader
-- who knows them is planned straight into the two tables that hold the rows, however many nights there are.
CREATE OR REPLACE VIEW {reading}.history AS
    SELECT b.interval_start, b.interval_end, p.batch_id AS batch, l.batch_id AS input_batch, p.model_version, p.hindsight,
        p.prediction, p.probability, {shown}
    FROM overnight.batch b
        JOIN {inner}.predictions p ON p.batch_id = b.id
        JOIN {inner}.landed l ON l.batch_id = b.input_batch AND {same_key}
    WHERE b.pipeline = {name} AND EXISTS (SELECT FROM overnight.publication u WHERE u.batch = b.id);
CREATE OR REPLACE VIEW {reading}.rejected AS
    SELECT b.interval_start, b.interval_end, x.batch_id AS batch, x.source, x.line, x.column_name, x.value, x.rule, x.reason,
        x.row_text
    FROM {inner}.rejected x JOIN overnight.batch b ON b.id = x.batch_id;
CREATE OR REPLACE VIEW {reading}.pruned AS
    SELECT interval_start, interval_end, kind, batch, part, rows, at, who, why FROM reading.pruning WHERE pipeline = {name};
CREATE OR REPLACE FUNCTION {reading}.as_of(moment timestamptz) RETURNS SETOF {reading}.published
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT overnight.require_seen({name}, moment);  -- what was pruned since is an error here, and never a gap
    SELECT r.interval_start, r.interval_end, r.batch, p.model_version, r.at, v.outcome, p.hindsight,
        p.prediction, p.probability, {shown}
    FROM (SELECT DISTINCT ON (interval_start) * FROM overnight.publication
            WHERE pipeline = {name} AND kind = 'prediction' AND at <= moment
            ORDER BY interval_start, id DESC) r
        JOIN overnight.batch b ON b.id = r.batch
        JOIN {inner}.predictions p ON p.batch_id = r.batch
        JOIN {inner}.landed l ON l.batch_id = b.input_batch AND {same_key}
        LEFT JOIN LATERAL (SELECT outcome FROM overnight.verdict
            WHERE batch = b.input_batch AND at <= moment ORDER BY id DESC LIMIT 1) v ON true
$$;
REVOKE ALL ON FUNCTION {reading}.as_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {reading}.as_of TO overnight_reader, overnight_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA {reading} TO overnight_reader, overnight_writer;
"""
