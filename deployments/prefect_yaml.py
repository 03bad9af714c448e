"""Renders `prefect.yaml` from the pipelines' folders: one deployment `nightly/<name>` each, and `maintain`. Edited by nobody."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from deployments.catalogue import load_definition, pipeline_names
from domain.pipeline import Pipeline

POOL = "overnight"
MAINTAIN_AT = "30 12 * * *"
_HEADER = """\
# Rendered from deployments/*/pipeline.yaml by `python -m deployments.prefect_yaml`; a test compares the two.
# OVERNIGHT_PROJECT is the folder that holds flows/; `overnight up` sets it, starts the worker and deploys this.
"""


def render_prefect_yaml(pipelines: Iterable[Pipeline]) -> str:
    """The file's text; the same pipelines give the same bytes."""
    document = {"pull": [], "deployments": [*(_deployment(pipeline) for pipeline in pipelines), _maintain()]}
    return _HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _deployment(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "description": pipeline.title,
        "entrypoint": "flows/nightly.py:nightly",
        "tags": ["nightly", pipeline.name],
        "parameters": {"pipeline": pipeline.name},
        "enforce_parameter_schema": True,
        # A second run waits for the slot; the night's own lock is in Postgres. The slot of a run that died is a lease.
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "schedules": _schedules(pipeline),
        "work_pool": _work_pool(),
    }


def _maintain() -> dict[str, Any]:
    """The flow that keeps the house, at an hour when most nights are over."""
    return {
        "name": "overnight",
        "description": "Prunes what is older than each pipeline keeps, sweeps what nobody speaks for, trims old history",
        "entrypoint": "flows/maintain.py:maintain",
        "tags": ["maintain"],
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
        "schedules": [{"cron": MAINTAIN_AT, "timezone": "UTC", "slug": "maintain", "active": True}],
        "work_pool": _work_pool(),
    }


def _work_pool() -> dict[str, Any]:
    # With stream_output a run's console dies with its worker, and the run with it.
    return {"name": POOL, "job_variables": {"working_dir": "{{ $OVERNIGHT_PROJECT }}", "stream_output": False}}


def _schedules(pipeline: Pipeline) -> list[dict[str, Any]]:
    if pipeline.schedule is None:
        return []
    zone = str(pipeline.interval.timezone)
    return [{"cron": pipeline.schedule, "timezone": zone, "slug": "nightly", "active": True}]


def render_folder(folder: Path) -> str:
    """`prefect.yaml` for every pipeline that a deployments folder holds; raises DefinitionError for a wrong one."""
    return render_prefect_yaml(load_definition(folder, name).pipeline for name in pipeline_names(folder))


if __name__ == "__main__":
    Path("prefect.yaml").write_text(render_folder(Path("deployments")), encoding="utf-8")
