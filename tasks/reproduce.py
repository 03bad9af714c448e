"""`reproduce`: a batch made again from its recorded input, code and model in scratch tables, and its content hash compared.

It writes nothing that anybody could read. A batch whose rows were pruned can still be checked: its hash is in the ledger.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg2 import sql

from deployments.catalogue import Definition, load_definition
from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_SOURCE, Pruned, SourceError, UsageError
from domain.words import BatchKind, BatchState
from infra.settings import Settings
from store.batches import Batch, Recipe, hash_content, load_batch, load_recipe
from store.drift import load_profile
from store.engine import driver_cursor, parse_url, transaction
from store.models import load_artifact, load_version
from store.pipelines import inner_schema
from store.pruning import pruned_on
from store.runs import load_run
from tasks.artifacts import libraries_here
from tasks.context import Night, code_of, writer_engine
from tasks.estimators import threads
from tasks.expectations.suite import read_suite
from tasks.ingest.take import Taken, take_source
from tasks.models import Loaded, read_model
from tasks.profiles import Watch
from tasks.score import CODE
from tasks.scoring import score_rows
from tasks.scratch import land, scratch_batch, scratch_session
from tasks.validate import shares_of


@dataclass(frozen=True, slots=True)
class Reproduced:
    """How it went: the hash in the ledger, the one that came out now (empty when nothing did), and what is not as it was."""

    batch: Batch
    found: str
    differences: tuple[str, ...]
    source_changed: bool = False

    @property
    def same(self) -> bool:
        return self.found == self.batch.content_hash

    @property
    def exit_code(self) -> int:
        return EXIT_DONE if self.same else EXIT_SOURCE if self.source_changed else EXIT_FAILED

    def to_json(self) -> dict[str, Any]:
        return {
            "batch": self.batch.id, "pipeline": self.batch.pipeline, "kind": str(self.batch.kind), "reproduced": self.same,
            "rows": self.batch.rows, "recorded": self.batch.content_hash, "found": self.found or None,
            "differences": list(self.differences),
        }  # fmt: skip


def reproduce(settings: Settings, number: int) -> Reproduced:
    """Makes a batch again and compares. Raises UsageError for a batch that was never sealed, Pruned when the rows that it was
    predicted from are gone, EnvironmentRefused when its model may not be loaded here, SourceError when its source is gone."""
    with transaction(writer_engine(settings)) as connection:
        try:
            batch, recipe = load_batch(connection, number), load_recipe(connection, number)
        except LookupError as error:
            raise UsageError(str(error), hint="overnight batches NAME") from None
    if batch.content_hash is None:
        raise UsageError(
            f"batch {number} was never sealed, so there is nothing to compare", hint=f"overnight batches {batch.pipeline}"
        )
    definition = load_definition(settings.deployments, batch.pipeline)
    where = f"{batch.pipeline} {definition.pipeline.calendar.label(batch.interval)}"
    try:
        again = _ingest_again if batch.kind is BatchKind.INPUT else _score_again
        return again(definition, batch, recipe, settings)
    except SourceError as error:
        raise SourceError(f"batch {number} cannot be made again, for its source is gone: {error.what}", where=where) from None


def _ingest_again(definition: Definition, batch: Batch, recipe: Recipe, settings: Settings) -> Reproduced:
    """The source read, judged and set aside as the stages do; what was held by its rejects had not been judged."""
    pipeline = definition.pipeline
    server = parse_url(str(writer_engine(settings).url.render_as_string(hide_password=False)))
    gone = [name for name in batch.columns if name not in pipeline.columns and name != "more"]
    if gone:
        return Reproduced(batch, "", (f"the contract has no column {gone[0]!r} any more",))
    rules = read_suite(definition, batch.interval) if recipe.suite_hash else ()
    mostly = shares_of(rules, at_most=pipeline.rejects.at_most)
    zone, data = pipeline.interval.timezone, settings.data_folder
    with (
        take_source(pipeline.source, batch.interval, zone=zone, data=data, server=server) as taken,
        scratch_session(settings) as reader,
    ):
        land(reader, definition, batch.interval, taken.files, rules=rules, mostly=mostly)
        with reader.database.begin() as connection:
            found = hash_content(connection, "pg_temp", "landed_0", columns=batch.columns)
        source = _source_differences(taken, recipe)
    return Reproduced(batch, found, (*source, *_made_differently(definition, recipe, settings)), source_changed=bool(source))


def _source_differences(taken: Taken, recipe: Recipe) -> list[str]:
    then = {str(file["file"]): str(file["sha256"]) for file in recipe.files}
    now = {file.name: file.sha256 for file in taken.files}
    found = [f"{name} is gone from the source" for name in then if name not in now]
    found += [f"{name} is new in the source" for name in now if name not in then]
    return found + [
        f"{name} holds other bytes: sha256 {now[name][:12]} and not {sha[:12]}"
        for name, sha in then.items()
        if name in now and now[name] != sha
    ]


def _made_differently(definition: Definition, recipe: Recipe, settings: Settings) -> list[str]:
    found = {
        "the contract changed: what pipeline.yaml says of source, columns or rejects": (
            recipe.contract_hash != definition.pipeline.contract_fingerprint
        ),
        "the suite changed: expectations.yaml": recipe.suite_hash not in ("", definition.suite_hash),
        "the code that ingests changed": recipe.code != code_of(definition, "ingest"),
        _image_sentence(recipe, settings): recipe.image != settings.image_digest,
    }
    return [sentence for sentence, differs in found.items() if differs]


def _image_sentence(recipe: Recipe, settings: Settings) -> str:
    def named(image: str | None) -> str:
        return f"in the image {image[:19]}" if image else "in no container"

    return f"it was made {named(recipe.image)}, and this runs {named(settings.image_digest)}"


def _score_again(definition: Definition, batch: Batch, recipe: Recipe, settings: Settings) -> Reproduced:
    """The recorded input through the recorded model, into a table of this session's own."""
    engine = writer_engine(settings)
    assert batch.input_batch is not None
    assert batch.model is not None
    with transaction(engine) as connection:
        landed = load_batch(connection, batch.input_batch, lock=True)
        _require_input(connection, definition, landed)
        version, artifact = load_version(connection, batch.model), load_artifact(connection, batch.model)
        night = Night(load_run(connection, recipe.run), definition, engine, settings)
        loaded = read_model(night, version, artifact)
        with threads(settings, rows=landed.rows), scratch_session(settings) as reader, reader.database.begin() as writing:
            scratch = scratch_batch(
                batch.pipeline, BatchKind.PREDICTION, batch.interval, columns=batch.columns, hindsight=batch.hindsight
            )
            with driver_cursor(writing) as cursor:
                cursor.execute(_SCRATCH.format(predictions=sql.Identifier(inner_schema(batch.pipeline), "predictions")))
            profile = load_profile(connection, version.id)
            watch = Watch(profile, step=max(1, landed.rows)) if profile is not None else None  # for its ranges alone
            score_rows(night, loaded, landed, scratch, reading=connection, writing=writing, watch=watch)
            found = hash_content(writing, "pg_temp", scratch.table, columns=batch.columns)
        differences = _learned_gone(connection, loaded, landed)
    libraries = {name: (then, now) for name, now in libraries_here().items() if (then := version.libraries.get(name)) != now}
    differences += [f"the model was fitted under {name} {then}, and this is {now}" for name, (then, now) in libraries.items()]
    if recipe.code != code_of(definition, *CODE):
        differences.append("the code that scores changed")
    if recipe.image != settings.image_digest:
        differences.append(_image_sentence(recipe, settings))
    return Reproduced(batch, found, tuple(differences))


def _learned_gone(connection: sa.Connection, loaded: Loaded, landed: Batch) -> list[str]:
    """That which rows a model learned from cannot be told any more, where its folds hang on it."""
    if loaded.folds is None or loaded.folds.learned in (None, landed.id):
        return []
    learned = load_batch(connection, loaded.version.batches[0])
    gone = pruned_on(connection, learned.id)
    if learned.state is BatchState.SEALED:
        return []
    when = f" was pruned on {gone.at:%Y-%m-%d}, by {gone.who}" if gone else f" is {learned.state}"
    return [f"batch {learned.id}, which the model learned from,{when}, so which twin spoke of which row cannot be told any more"]


_SCRATCH = sql.SQL("""
CREATE TEMPORARY TABLE predictions_0 (LIKE {predictions} INCLUDING DEFAULTS);
ALTER TABLE pg_temp.predictions_0 ALTER batch_id SET DEFAULT 0;
""")


def _require_input(connection: sa.Connection, definition: Definition, landed: Batch) -> None:
    if landed.state is BatchState.SEALED:
        return
    gone = pruned_on(connection, landed.id)
    label = definition.pipeline.calendar.label(landed.interval)
    told = f" was pruned on {gone.at:%Y-%m-%d}, by {gone.who}: {gone.why}" if gone else f" is {landed.state}"
    raise Pruned(
        f"its input, batch {landed.id},{told}", where=f"{landed.pipeline} {label}", hint=f"overnight reproduce {landed.id}"
    )
