"""`backfill`: many nights of one pipeline, oldest first, some of them side by side if asked."""

from prefect import flow

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.planning import BACKFILL, Mode, ModelMode
from domain.report import NightReport
from flows.beginning import begun_or_told
from flows.nightly import nightly
from flows.nights import take_nights
from flows.occasion import name_backfill
from flows.outcome import told_as_state
from flows.policy import KEEPS_NOTHING
from infra.cluster import connect
from infra.settings import Settings, load_settings
from tasks.planning import plan_range
from tasks.prepare import prepare
from tasks.spread import backfill_address


# `from` and `to` would be the words, but `from` is Python's own and cannot name a parameter.
@flow(name="backfill", **KEEPS_NOTHING)
@told_as_state(called=name_backfill)
def backfill(
    pipeline: str,
    start: str,
    end: str,
    mode: Mode = "all",
    nights: list[str] | None = None,
    model: ModelMode = "as-due",
    parallel: int = 1,
    tell: bool = False,
) -> list[NightReport]:
    """Takes each night from `start` to `end`, both included, and goes on after a night that is held or fails.

    Args:
        pipeline: the name of a folder under deployments/
        start: the first night, such as 2013-01-01
        end: the last night, such as 2013-02-04
        mode: missing, failed (and missing), changed (and failed and missing), or all
        nights: these nights alone, as a plan lists them
        model: which model scores: as-due, as-was (that night's champion), as-if (trained for that night) or hindsight
        parallel: at most so many nights side by side; the result is the same
        tell: wake messages and webhook as a night of the schedule does
    """
    settings = load_settings()
    definition, planned, address = _begin(settings, pipeline, start, end, mode=mode, nights=nights, model=model)
    if address is not None:
        from flows.scale import take_nights_on_dask

        return take_nights_on_dask(definition, planned, settings, address=address, model=model, tell_others=tell)
    return take_nights(nightly, definition, planned, settings, trigger=BACKFILL, model=model, lanes=parallel, tell_others=tell)


@begun_or_told
def _begin(
    settings: Settings, pipeline: str, start: str, end: str, *, mode: Mode, nights: list[str] | None, model: ModelMode
) -> tuple[Definition, list[Interval], str | None]:
    """What is needed before the first night: the definition, the nights, and the address of a Dask scheduler that answers."""
    (definition,) = prepare(settings, pipeline)
    calendar = definition.pipeline.calendar
    wanted = [calendar.named(night) for night in nights or ()]
    wanted = wanted or list(calendar.between(calendar.named(start), calendar.named(end)))
    if mode != "all":
        wanted = [one.interval for one in plan_range(definition, wanted, settings, mode=mode, model=model)]
    address = backfill_address(definition, wanted, settings)
    if address is not None:
        with connect(address):  # raises where nobody answers
            pass
    return definition, wanted, address
