"""Where a stage runs: in this process, or in a container of its own. Either way it is called and answers the same."""

import json
import logging
import math
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

from domain import errors
from domain.errors import ContainerLost, OvernightError, StageFailed
from domain.fingerprint import fingerprint
from domain.pipeline import Pipeline
from domain.report import StageReport
from domain.spec.running import Limits
from domain.words import RunState, Stage, StageState
from infra.postgres import database_url
from infra.settings import Settings
from store.engine import transaction
from store.runs import fail_stage, load_run, stage_reports
from tasks.context import Night, load_night, writer_engine
from tasks.night import StageCall
from tasks.perform import perform
from tasks.routes import Route, is_elsewhere, open_route

if TYPE_CHECKING:
    from infra.containers import Ending, Work

log = logging.getLogger("overnight.stage")


def runner_for(pipeline: Pipeline, settings: Settings) -> StageCall:
    """The way in which this pipeline's stages are called; a dead night's containers are removed first.

    On Dask it is whole nights of a backfill and ranges of a night's rows that travel, and no stage does (`tasks/spread.py`).
    """
    if pipeline.runner.kind != "docker":
        return perform
    sweep(settings)
    return perform_in_container


def perform_in_container(stage: Stage, run_id: int, settings: Settings) -> StageReport:
    """What `perform` does, in a container: the report, and the error if there was one, are read from the ledger.

    Raises what `perform` raises; StageFailed when a limit ended the stage, ContainerLost when somebody else did.
    """
    from infra.containers import identify_image, run_container

    night = load_night(run_id, settings)
    where = f"{night.label} {stage}"
    before = _count_lines(night, stage)
    try:
        image = identify_image(settings.image)
        with open_route(night, stage) as route:
            ending = run_container(_describe(night, stage, image=image, route=route))
    except OvernightError as error:
        raise error.at(where) from error
    return _read_outcome(night, stage, ending, before=before)


def _describe(night: Night, stage: Stage, *, image: str, route: Route) -> "Work":
    from infra.containers import Work

    settings, limits = night.settings, night.pipeline.runner.limits
    folder, secrets = night.definition.folder.absolute(), _secrets_of(night, stage)
    return Work(
        image=image,
        command=["python3", "-m", "tasks", str(stage), "--run", str(night.run.id), "--attached"],
        name=f"overnight-{night.pipeline.name}-{night.run.id}-{stage}-{uuid.uuid4().hex[:6]}",
        labels={**_ledger_label(settings), "pipeline": night.pipeline.name, "run": str(night.run.id), "stage": str(stage)},
        environment={
            "OVERNIGHT_DEPLOYMENTS": str(folder.parent),
            "OVERNIGHT_DATA": str(settings.data_folder),
            "OVERNIGHT_IMAGE_DIGEST": image,
            "OVERNIGHT_ESTIMATORS": settings.estimators,
            "OVERNIGHT_THREADS": str(settings.threads or max(1, math.ceil(limits.cpus))),
            **route.environment,
        },
        secret=json.dumps({"database_url": route.url, "environment": secrets}).encode(),
        network=route.network,
        limits=limits,
        visible={
            **route.visible,
            folder: str(folder),
            **(_source_folder(night) if stage is Stage.INGEST else {}),
            **_key_files(secrets),
        },
    )


def _secrets_of(night: Night, stage: Stage) -> dict[str, str]:
    """What the source's address and headers call by `${NAME}`, and what a driver of object storage reads; what is not set here is
    missed, and said, by the stage."""
    if stage is not Stage.INGEST:
        return {}
    from tasks.ingest.place import names_of_keys, names_of_secrets

    source = night.pipeline.source
    names = [*names_of_secrets(source.url, source.path, *source.headers.values()), *names_of_keys(source.path)]
    return {name: os.environ[name] for name in names if name in os.environ}


def _key_files(secrets: Mapping[str, str]) -> dict[Path, str]:
    """The files that a variable names in place of a key, as GOOGLE_APPLICATION_CREDENTIALS does, at the same place inside."""
    named = {
        Path(value): value for name, value in secrets.items() if name.startswith(("AWS_", "GOOGLE_")) and value.startswith("/")
    }
    return {path: inside for path, inside in named.items() if path.is_file()}


def _source_folder(night: Night) -> dict[Path, str]:
    """The folder that holds all that the source's path can name, at the same place inside."""
    if is_elsewhere(night.pipeline.source):
        return {}
    path = night.pipeline.source.path.replace("{data}", str(night.settings.data_folder))
    fixed = Path(re.split(r"[{*?\[]", path)[0] + "x").absolute().parent
    if len(fixed.parts) < 2:
        raise StageFailed(
            "the source's path begins at the root of the file system, which no container is shown", where=night.label,
            hint="name a folder in source.path",
        )  # fmt: skip
    return {fixed: str(fixed)} if fixed.is_dir() else {}


def _ledger_label(settings: Settings) -> dict[str, str]:
    """Tells the containers of this ledger from those of another one on the same machine."""
    url = make_url(database_url(settings, role="writer"))
    return {"ledger": fingerprint(url.host, url.port, url.database, dict(url.query))}


def _lines_of(night: Night, stage: Stage) -> list[StageReport]:
    with transaction(night.engine) as connection:
        return [report for report in stage_reports(connection, night.run.id) if report.stage is stage]


def _count_lines(night: Night, stage: Stage) -> int:
    return len(_lines_of(night, stage))


def _read_outcome(night: Night, stage: Stage, ending: "Ending", *, before: int) -> StageReport:
    lines = _lines_of(night, stage)[before:]
    report = lines[-1] if lines else None
    if report is None or report.state is StageState.RUNNING:
        error = explain(ending, night.pipeline.runner.limits, began=report is not None)
        detail = {"error": type(error).__name__, "hint": error.hint}
        fail_stage(night.engine, night.run.id, StageReport(stage, StageState.FAILED, error.what, detail=detail))
        raise error.at(f"{night.label} {stage}")
    if report.state is StageState.FAILED:
        raise _error_of(report).at(f"{night.label} {stage}")
    return report


def explain(ending: "Ending", limits: Limits, *, began: bool) -> OvernightError:
    """The sentence for a container that ended without a word in the ledger."""
    raise_it = "raise runner.limits.{} in pipeline.yaml"
    if ending.timed_out:
        return StageFailed(f"the stage took longer than its limit of {limits.timeout}", hint=raise_it.format("timeout"))
    if ending.out_of_memory:
        limit = f"{limits.memory / 2**20:,.0f} MiB"
        return StageFailed(f"the stage ran out of memory at its limit of {limit}", hint=raise_it.format("memory"))
    if ending.exit_code in (137, 143) or began:
        return ContainerLost(f"the stage's container was ended from outside (exit code {ending.exit_code})")
    return StageFailed(
        f"the stage's container ended with exit code {ending.exit_code} before it reached the ledger",
        hint="OVERNIGHT_LOG=INFO with the same command, which shows what the container said",
    )


def _error_of(report: StageReport) -> OvernightError:
    """The error that the stage raised in its container, as the ledger tells it."""
    kind = getattr(errors, str(report.detail.get("error")), StageFailed)
    if not (isinstance(kind, type) and issubclass(kind, OvernightError)):
        kind = StageFailed
    return kind(report.reason, hint=str(report.detail.get("hint") or ""))


def sweep(settings: Settings) -> list[str]:
    """Removes the containers that dead processes left, and those of runs that are over; returns their names."""
    from infra.containers import sweep_containers

    def is_wanted(labels: Mapping[str, str]) -> bool:
        with transaction(writer_engine(settings)) as connection:
            try:
                return load_run(connection, int(labels["run"])).state is RunState.RUNNING
            except (LookupError, ValueError):
                return False

    removed = sweep_containers(_ledger_label(settings), is_wanted=is_wanted)
    if removed:
        log.warning("removed what a dead process left: %s", ", ".join(removed))
    return removed
