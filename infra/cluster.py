"""The one door to Dask: work that a scheduler hands to workers on other machines, and takes back when one of them dies."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from domain.errors import OrchestratorUnavailable, StageFailed

ANSWERS_WITHIN = 15  # seconds for a scheduler to be found
LOOK_EVERY = 2  # seconds between two looks whether work is wanted still


def _dask() -> Any:
    """Imported late, and half of it without types."""
    import distributed

    return distributed


@contextmanager
def connect(address: str) -> Iterator[Any]:
    """Dask's client of a scheduler. On a worker of that scheduler it lends its place to others while it waits.

    Raises OrchestratorUnavailable when no scheduler answers, or when it goes away; StageFailed when a piece of work has
    killed every worker that it was given to.
    """
    distributed = _dask()

    try:
        if own_scheduler() is not None:
            with distributed.worker_client(timeout=f"{ANSWERS_WITHIN}s") as client:
                yield client
        else:
            with distributed.Client(address, timeout=f"{ANSWERS_WITHIN}s", name="overnight") as client:
                yield client
    except distributed.KilledWorker as error:
        raise StageFailed(
            f"the work was given to several Dask workers, and each of them died ({str(error)[:200]})",
            hint="the workers' logs; a limit on their memory is the usual reason",
        ) from error
    except (OSError, distributed.client.FutureCancelledError) as error:
        raise OrchestratorUnavailable(f"the Dask scheduler at {address} does not answer", hint="overnight doctor") from error


def own_scheduler() -> str | None:
    """The scheduler that this process works for; None for everybody who is no worker."""
    distributed = _dask()

    try:
        return str(distributed.get_worker().scheduler.address)
    except ValueError:
        return None


def count_workers(client: Any) -> int:
    """How many there are now; at least one, for which the work waits if there is none."""
    return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


def wait_for_flag(name: str) -> None:
    """On a worker: waits until somebody has raised the flag, and lends its place to other work meanwhile.

    Raises StageFailed when whoever gave this work out is gone, for then nobody may be left to raise it.
    """
    distributed = _dask()

    flag = distributed.Event(name)
    if not flag.is_set():
        distributed.secede()
        while not flag.wait(LOOK_EVERY):
            if not _is_wanted():
                raise StageFailed("whoever asked for this night is gone")
        distributed.rejoin()


def _is_wanted() -> bool:
    """Whether anybody still waits for what this thread of a worker is at."""
    distributed = _dask()

    task = distributed.get_worker().state.tasks.get(distributed.worker.thread_state.key)
    return task is not None and task.state != "cancelled"


def raise_flag(name: str, client: Any = None) -> None:
    """Tells all who wait; the scheduler keeps the flag, raised, until it ends."""
    distributed = _dask()

    distributed.Event(name, client=client).set()


def work_through(
    client: Any, function: Callable[..., Any], pieces: Sequence[tuple[Any, ...]], *, ahead: int = 2, in_order: bool = False
) -> Iterator[Any]:  # fmt: skip
    """What `function(*piece)` gives for each piece, as each is done or in the order given; so many are under way that every
    worker has `ahead` of them, and this process never holds more. A piece whose worker dies goes to another."""
    distributed = _dask()

    most, waiting = count_workers(client) * ahead, iter(pieces)
    under_way = [client.submit(function, *piece, pure=False) for piece in islice(waiting, most)]
    while under_way:
        if not in_order:
            distributed.wait(under_way, return_when="FIRST_COMPLETED")
        future = next((each for each in under_way if in_order or each.done()), under_way[0])
        under_way.remove(future)
        result = future.result()
        future.release()
        under_way += [client.submit(function, *piece, pure=False) for piece in islice(waiting, 1)]
        yield result
