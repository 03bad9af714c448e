"""How what a worker runs is ended before the worker is: told so and waited for, and cancelled by nobody."""

from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep

import psutil

from infra.prefect_api import STARTED_BY_WORKER, FlowRun, PrefectApi

ENDED_WITHIN = 35.0  # with what the worker takes to end, less than the minute that whoever stops it usually gives


def end_runs(url: str, *, hurry: Callable[[], bool]) -> None:
    """Ends what runs on this machine, and waits for it: a worker that is stopped first kills its runs without a word. When a slot
    is free the worker begins what waits for it, which is ended too."""
    asked: dict[tuple[str, int | None], bool] = {}
    began = monotonic()
    with PrefectApi(url) as api:
        while monotonic() - began < ENDED_WITHIN and not hurry():
            under_way = {(run.id, run.process): run for run in api.unfinished_runs() if run.process and not run.is_child}
            asked |= {key: _ask_to_end(api, run) for key, run in under_way.items() if key not in asked}
            if not any(asked[key] for key in under_way):
                return
            sleep(0.5)


def _ask_to_end(api: PrefectApi, run: FlowRun) -> bool:
    """Whether the run is going to end. One that the worker has started is told so, and not cancelled, so that recovery takes its
    night again when the worker is back; somebody's own backfill is cancelled."""
    if run.deployment is None:
        api.cancel(run.id)
    elif run.state != "CANCELLING":
        return _tell_to_end(run)
    return True


def _tell_to_end(run: FlowRun) -> bool:
    """Only its own process, of which the number may be another one's by now."""
    with suppress(psutil.Error):
        process = psutil.Process(run.process)
        if process.environ().get(STARTED_BY_WORKER) == run.id:
            process.terminate()
            return True
    return False
