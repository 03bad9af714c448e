"""The one policy for flows and their tasks: what is tried again, how often, and what Prefect may keep of it."""

from pathlib import Path
from typing import Any, TypedDict

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.settings import get_current_settings

from domain.errors import OvernightError
from domain.planning import RETRY_DELAYS


class Policy(TypedDict):
    """The arguments of `prefect.task` that are the same for every stage."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any
    cache_policy: Any
    persist_result: bool


def may_retry(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001  # Prefect passes three
    """Only an error that calls itself retryable is tried again; one of no known kind is final."""
    error = state.data
    return isinstance(error, OvernightError) and error.retryable


# Nothing is cached or kept as a result: what is done is a fact in the ledger, and the stage itself finds it there.
POLICY: Policy = {
    "retries": len(RETRY_DELAYS),
    "retry_delay_seconds": list(RETRY_DELAYS),
    "retry_condition_fn": may_retry,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


class Kept(TypedDict):
    """What Prefect may keep of a flow run, for `prefect.flow`."""

    persist_result: bool
    result_storage: Path


# Nor is a flow's result kept. Where it would lie is named, because Prefect asks its server for the place otherwise, twice a run.
KEEPS_NOTHING: Kept = {"persist_result": False, "result_storage": get_current_settings().results.local_storage_path}
