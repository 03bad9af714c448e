"""A thin client of Prefect's REST API, for processes that must not pay for importing Prefect: the command line, the
supervisor, the recovery."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any, Literal
from uuid import uuid4

import httpx

from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_HELD, OrchestratorUnavailable, UsageError
from infra.prefect_home import noted_server
from infra.settings import Settings

FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")
POOL = "overnight"
STARTED_BY_WORKER = "PREFECT__FLOW_RUN_ID"  # in the environment of the process that a worker starts for a run
LAST_LINES_WITHIN = 4.0  # seconds
BUSY_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds; its SQLite turns writers away while others write, and asks them to come again


@dataclass(frozen=True, slots=True)
class FlowRun:
    """One run as Prefect tells it, in its state `since` then. `process` is the number of the process of this machine that runs
    it, as far as anybody has said."""

    id: str
    name: str
    state: str
    state_name: str
    message: str
    deployment: str | None
    parameters: Mapping[str, Any]
    process: int | None
    since: datetime | None
    attempts: int
    is_child: bool
    url: str

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def exit_code(self) -> int:
        """As far as Prefect knows: held nights are completed there, under a name of their own."""
        if self.state != "COMPLETED":
            return EXIT_FAILED
        return EXIT_HELD if self.state_name == "Held" else EXIT_DONE


@dataclass(frozen=True, slots=True)
class Deployment:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """`source` is the logger: `prefect.flow_runs`, `prefect.task_runs`, `overnight.stage` …"""

    at: datetime
    level: int
    source: str
    text: str

    @property
    def ends_a_run(self) -> bool:
        return self.repeats_the_state and self.text.startswith("Finished in state")

    @property
    def repeats_the_state(self) -> bool:
        """What Prefect says of the run itself: its state again, and a traceback where a run that has failed leaves its engine."""
        return self.source == "prefect.flow_runs"


class PrefectApi:
    """Talks to one server. Every method raises OrchestratorUnavailable when it does not answer as it should."""

    def __init__(self, url: str, *, timeout: float = 15.0) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

    def __enter__(self) -> "PrefectApi":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def is_healthy(self) -> bool:
        try:
            return self._client.get("/health", timeout=3).is_success
        except httpx.HTTPError:
            return False

    def _call(self, method: Literal["GET", "POST", "PATCH", "DELETE"], path: str, body: object = None) -> Any:
        try:
            answer = self._ask_again_while_busy(method, path, body)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            answer.raise_for_status()
            return answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise OrchestratorUnavailable(
                f"Prefect's server at {self.url} does not answer as it should ({str(error).splitlines()[0]})",
                hint="overnight doctor",
            ) from error

    def _ask_again_while_busy(self, method: str, path: str, body: object) -> httpx.Response:
        """A server that answers 503 has done nothing of what it was asked."""
        for pause in BUSY_PAUSES:
            answer = self._client.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            sleep(pause)
        return self._client.request(method, path, json=body)

    def _flow_run(self, found: Mapping[str, Any]) -> FlowRun:
        return _flow_run(found, self.url)

    def find_deployment(self, pipeline: str) -> Deployment | None:
        """The deployment `nightly/<pipeline>`."""
        found = self._call("GET", f"/deployments/name/nightly/{pipeline}")
        return Deployment(found["id"], found["name"]) if found else None

    def deployments(self) -> list[Deployment]:
        """Those that `prefect.yaml` has made: of the flow `nightly`, in our pool, each named after its pipeline."""
        body = {"flows": {"name": {"any_": ["nightly"]}}, "work_pools": {"name": {"any_": [POOL]}}, "limit": 200}
        found = self._call("POST", "/deployments/filter", body) or []
        return [Deployment(one["id"], one["name"]) for one in found if one["parameters"].get("pipeline") == one["name"]]

    def delete_deployment(self, deployment: Deployment) -> None:
        self._call("DELETE", f"/deployments/{deployment.id}")

    def create_run(self, pipeline: str, *, interval: str | None = None, key: str | None = None) -> FlowRun:
        """Asks for one night, through the worker. The same `key` gives the same run again.

        Raises UsageError when the pipeline is not deployed.
        """
        deployment = self.find_deployment(pipeline)
        if deployment is None:
            raise UsageError(f"Prefect knows no deployment nightly/{pipeline}", hint="overnight up")
        body = {
            "parameters": {"pipeline": pipeline, "interval": interval},
            "state": {"type": "SCHEDULED"},
            "idempotency_key": key or str(uuid4()),  # what is asked again makes no second run
        }
        return self._flow_run(self._call("POST", f"/deployments/{deployment.id}/create_flow_run", body))

    def read_run(self, run_id: str) -> FlowRun:
        """Raises UsageError when the server knows no such run."""
        found = self._call("GET", f"/flow_runs/{run_id}")
        if found is None:
            raise UsageError(f"Prefect knows no flow run {run_id}", hint="overnight runs")
        return self._flow_run(found)

    def unfinished_runs(self) -> list[FlowRun]:
        """Every run that Prefect believes to be on its way, of any flow."""
        body = {"flow_runs": {"state": {"type": {"any_": list(UNFINISHED)}}}, "limit": 200}
        return [self._flow_run(one) for one in self._call("POST", "/flow_runs/filter", body)]

    def crashed_runs(self, *, since: datetime) -> list[FlowRun]:
        """The runs of deployments that have crashed since then, 200 of them at most, the newest first."""
        body = {
            "flow_runs": {
                "state": {"type": {"any_": ["CRASHED"]}},
                "end_time": {"after_": since.isoformat()},
                "deployment_id": {"is_null_": False},
            },
            "sort": "END_TIME_DESC",
            "limit": 200,
        }
        return [self._flow_run(one) for one in self._call("POST", "/flow_runs/filter", body)]

    def scheduled_runs(self, deployment: Deployment) -> list[FlowRun]:
        """The runs that the schedule has written ahead."""
        body = {
            "deployments": {"id": {"any_": [deployment.id]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "limit": 200,
        }
        return [self._flow_run(one) for one in self._call("POST", "/flow_runs/filter", body)]

    def ended_runs(self, *, of: Sequence[str], before: datetime, offset: int = 0) -> list[FlowRun]:
        """Runs of the flows with these names that ended before then, 200 of them at most, the oldest after `offset` first."""
        body = {
            "flows": {"name": {"any_": list(of)}},
            "flow_runs": {"state": {"type": {"any_": sorted(FINAL)}}, "end_time": {"before_": before.isoformat()}},
            "sort": "START_TIME_ASC",
            "limit": 200,
            "offset": offset,
        }
        return [self._flow_run(one) for one in self._call("POST", "/flow_runs/filter", body)]

    def delete_run(self, run: FlowRun) -> None:
        """Takes a run, its tasks and its logs out of Prefect's history."""
        self._call("DELETE", f"/flow_runs/{run.id}")

    def read_logs(self, run_id: str, *, offset: int = 0) -> list[LogLine]:
        """The lines after the first `offset`, oldest first."""
        body = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "offset": offset, "limit": 200}
        lines = self._call("POST", "/logs/filter", body)
        return [
            LogLine(_moment(line["timestamp"]) or datetime.now(UTC), line["level"], line["name"], line["message"])
            for line in lines
        ]

    def follow(self, run_id: str, *, every: float = 0.5, timeout: float | None = None) -> Iterator[FlowRun | LogLine]:
        """Each change of state and each line of log, as they come, until the run has ended.

        Raises OrchestratorUnavailable when `timeout` seconds pass first, or the server stays away for a minute.
        """
        began = answered = monotonic()
        seen, offset, ended, said_all = "", 0, 0.0, False
        while True:
            try:
                run = self.read_run(run_id)
                lines = self.read_logs(run_id, offset=offset)
                answered = monotonic()
            except OrchestratorUnavailable:
                if monotonic() - answered > 60:
                    raise
                sleep(every)
                continue
            offset += len(lines)
            said_all = said_all or any(line.ends_a_run for line in lines)
            yield from lines
            if run.state_name != seen:
                seen = run.state_name
                yield run
            # The last lines are sent when the run has ended, and a run that was killed sends none.
            ended = ended or (monotonic() if run.is_final else 0.0)
            if ended and not lines and (said_all or monotonic() - ended > LAST_LINES_WITHIN):
                return
            if timeout is not None and monotonic() - began > timeout:
                raise OrchestratorUnavailable(f"run {run.name} is still {run.state_name} after {timeout:.0f} s")
            sleep(every)

    def cancel(self, run_id: str) -> None:
        """Asks for a clean end: the worker stops the process, which closes its line in the ledger."""
        self.set_state(run_id, "CANCELLING", message="cancelled by hand", force=False)

    def set_state(self, run_id: str, state: str, *, message: str, name: str | None = None, force: bool = True) -> None:
        body = {"state": {"type": state, "name": name, "message": message}, "force": force}
        self._call("POST", f"/flow_runs/{run_id}/set_state", body)

    def pool_exists(self) -> bool:
        return self._call("GET", f"/work_pools/{POOL}") is not None

    def worker_is_online(self) -> bool:
        """Whether a worker of the pool has given a sign of life lately."""
        workers = self._call("POST", f"/work_pools/{POOL}/workers/filter", {})
        return any(worker.get("status") == "ONLINE" for worker in workers or [])


def _flow_run(found: Mapping[str, Any], url: str) -> FlowRun:
    state = found.get("state") or {}
    host, _, number = (found.get("infrastructure_pid") or "").rpartition(":")
    here = host in ("", socket.gethostname())
    return FlowRun(
        id=found["id"],
        name=found["name"],
        state=str(found.get("state_type")),
        state_name=str(found.get("state_name")),
        message=state.get("message") or "",
        deployment=found.get("deployment_id"),
        parameters=found.get("parameters") or {},
        process=int(number) if here and number.isdigit() else None,
        since=_moment(state.get("timestamp")),
        attempts=found.get("run_count") or 0,
        is_child=found.get("parent_task_run_id") is not None,
        url=f"{os.environ.get('PREFECT_UI_URL', url.removesuffix('/api'))}/runs/flow-run/{found['id']}",
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def find_server(settings: Settings) -> str | None:
    """The API of the server to use, None when none runs: the one that is set, or the one that `overnight up` started.

    Whatever else may listen on Prefect's usual port is not taken for ours.
    """
    url = settings.prefect_api_url or noted_server(settings)
    if url is None:
        return None
    with PrefectApi(url) as api:
        return url if api.is_healthy() else None


def need_server(settings: Settings) -> str:
    """As `find_server`; raises UsageError when none runs."""
    url = find_server(settings)
    if url is None:
        raise UsageError("no Prefect server is running", hint="overnight up")
    return url


def flow_command(flow: str, pipeline: str, first: str, last: str, *, as_json: bool) -> list[str]:
    """What follows `python` to take nights through the flow `nightly` or `backfill` in a process of its own."""
    nights = ["--interval", first] if flow == "nightly" else ["--from", first, "--to", last]
    return ["-m", "flows", flow, pipeline, *nights, *(["--json"] if as_json else [])]


def start_run(settings: Settings, pipeline: str, *, interval: str | None = None) -> FlowRun:
    """Asks the worker for one night; raises UsageError when no server runs or the pipeline is not deployed."""
    with PrefectApi(need_server(settings)) as api:
        return api.create_run(pipeline, interval=interval)


def follow_run(settings: Settings, run: FlowRun, *, on_line: Callable[[str], None], timeout: float | None = None) -> FlowRun:
    """Hands each line of the run's log and each change of its state to `on_line`; returns the run as it ended."""
    with PrefectApi(need_server(settings)) as api:
        for step in api.follow(run.id, timeout=timeout):
            if isinstance(step, LogLine):
                on_line(step.text)
            else:
                run = step
                on_line(f"{step.name}: {step.state_name}" + (f", {step.message}" if step.message else ""))
        return run
