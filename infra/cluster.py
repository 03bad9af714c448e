"""The one door to Dask: work that a scheduler hands to workers on other machines, and takes back when one of them dies."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Event
from typing import Any

from domain.errors import OrchestratorUnavailable, StageFailed

ANSWERS_WITHIN = 15  # seconds for a scheduler to be found
LEFT_WITHIN = 60  # seconds for a worker to come back where all have gone
LOOK_EVERY = 2  # seconds between two looks whether work is wanted still, or workers have come
WAITING = "overnight-waiting"  # the topic on which workers say that a piece of work waits for a flag, and that it does no more
_raised_here = deque[str](maxlen=64)  # the flags that this process raised last, of which it need not ask the scheduler


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


def workers_at(address: str) -> int:
    """How many a scheduler has; asked without lending this worker's place to others. Raises OrchestratorUnavailable."""
    if own_scheduler() is not None:
        return count_workers(_dask().get_client())
    with connect(address) as client:
        return count_workers(client)


def wait_for_flag(name: str) -> None:
    """On a worker: waits until somebody has raised the flag, and lends its place to other work meanwhile.

    Raises StageFailed when whoever gave this work out is gone, for then nobody may be left to raise it.
    """
    distributed = _dask()

    if name in _raised_here:
        return
    flag = distributed.Event(name)
    if not flag.is_set():
        worker, key = distributed.get_worker(), distributed.worker.thread_state.key
        worker.log_event(WAITING, [key, True])
        distributed.secede()
        while not flag.wait(LOOK_EVERY):
            if not _is_wanted():
                raise StageFailed("whoever asked for this night is gone")
        worker.log_event(WAITING, [key, False])
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
    _raised_here.append(name)


def work_through(
    client: Any, function: Callable[..., Any], pieces: Sequence[tuple[Any, ...]], *, ahead: int = 2, in_order: bool = False
) -> Iterator[Any]:  # fmt: skip
    """What `function(*piece)` gives for each piece, as each is done or in their order; so many are under way that every worker
    has `ahead` of them, and this process never holds more. A piece whose worker dies goes to another."""
    most, waiting = count_workers(client) * ahead, iter(pieces)
    under_way = [client.submit(function, *piece, pure=False) for piece in islice(waiting, most)]
    while under_way:
        _wait_for_one(client, under_way[:1] if in_order else under_way)
        future = next(each for each in under_way if each.done())
        under_way.remove(future)
        result = future.result()
        future.release()
        under_way += [client.submit(function, *piece, pure=False) for piece in islice(waiting, 1)]
        yield result


def _wait_for_one(client: Any, futures: Sequence[Any]) -> None:
    """Raises OrchestratorUnavailable when there is nobody left to wait for."""
    while True:
        try:
            _dask().wait(futures, timeout=LEFT_WITHIN, return_when="FIRST_COMPLETED")
            return
        except TimeoutError:
            if not client.scheduler_info(n_workers=-1)["workers"]:
                raise OrchestratorUnavailable(
                    f"the Dask scheduler at {client.scheduler.address} has no worker left", hint="dask worker ADDRESS"
                ) from None


def work_in_turn(
    client: Any, submit: Callable[..., Any], pieces: Sequence[tuple[Any, ...]], *, ahead: int
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Pieces that wait for one another's flags: each with its future, done, in the order given. `submit(*piece)` gives Dask's
    future. A worker is handed its next piece when all that it has are done or wait, `ahead` for each at most. A piece whose
    worker dies goes to another.

    Dask by itself would hand them out as soon as they are submitted, and some would stand behind a night that trains while
    another worker has nothing to do.
    """
    from dask.base import annotate

    crew, waiting, under_way = _Crew(client), deque(pieces), deque[tuple[tuple[Any, ...], Any]]()
    while waiting or under_way:
        while waiting and len(under_way) < ahead * crew.size and (worker := crew.idle()) is not None:
            piece = waiting.popleft()
            with annotate(workers=[worker], allow_other_workers=True):
                under_way.append((piece, crew.give(worker, submit(*piece))))
        if under_way and under_way[0][1].done():
            yield under_way.popleft()
        else:
            crew.wait()


class _Crew:
    """A scheduler's workers, and what each of them has been given by this client."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._given: list[tuple[str, Any]] = []
        self._waiting: set[str] = set()
        self._news = Event()
        client.subscribe_topic(WAITING, self._hear)

    def _hear(self, event: tuple[float, tuple[str, bool]]) -> None:
        _, (key, waits) = event
        (self._waiting.add if waits else self._waiting.discard)(key)
        self._news.set()

    @property
    def size(self) -> int:
        return count_workers(self.client)

    def idle(self) -> str | None:
        """A worker with a thread that has nothing to do, the one that has been given the least; None when there is none."""
        self._given = [(worker, future) for worker, future in self._given if not future.done()]
        has = Counter(worker for worker, _ in self._given)
        busy = Counter(worker for worker, future in self._given if future.key not in self._waiting)
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        free = [worker for worker, about in workers.items() if busy[worker] < about["nthreads"]]
        return min(free, key=lambda worker: (busy[worker], has[worker]), default=None)

    def give(self, worker: str, future: Any) -> Any:
        self._given.append((worker, future))
        future.add_done_callback(lambda _: self._news.set())
        return future

    def wait(self) -> None:
        """Until a piece is done, waits or goes on, or workers may have come or gone."""
        self._news.wait(LOOK_EVERY)
        self._news.clear()
