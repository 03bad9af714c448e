"""Taking nights: through Prefect when its server is up, otherwise in this process; the same reports either way."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from deployments.catalogue import Definition
from domain.errors import LockHeld, OvernightError, StageFailed
from domain.interval import Interval
from domain.planning import BACKFILL, ModelMode
from domain.report import NightReport, worst_exit_code
from infra.prefect_api import find_server
from infra.settings import Settings, readable_settings

log = logging.getLogger("overnight.night")
Reports = Generator[NightReport, None, int]


def take_nights(
    definition: Definition,
    nights: Sequence[Interval],
    settings: Settings,
    *,
    trigger: str,
    direct: bool = False,
    asked: Mapping[str, Any] | None = None,
    model: ModelMode = "as-due",
    parallel: int = 1,
    tell: bool = False,
) -> Reports:
    """Each night's report as it ends, oldest first; the generator returns the exit code of them all. SIGTERM acts like Ctrl-C,
    which a script's background job ignores: whatever takes the night closes its line and removes its container.

    `asked` are an operator's exceptions (`retrain`, `from_stage`), with which a night goes directly; `model` says which model
    scores, `parallel` how many nights of a backfill may be under way at once, `tell` whether it wakes who listens for new nights.
    """
    from tasks.lanes import lanes_for
    from tasks.stopping import stopping_between_imports

    url = None if direct or asked else find_server(settings)
    holder = {**(asked or {}), **({"tell": True} if tell else {})}
    if url is not None:
        taking = _through_prefect(definition, nights, url, trigger=trigger, model=model, parallel=parallel, tell=tell)
    elif lanes_for(definition, parallel) > 1 and len(nights) > 1:
        taking = _side_by_side(definition, nights, settings, holder=holder, model=model, lanes=parallel)
    else:
        taking = _directly(definition, nights, settings, trigger=trigger, holder=holder, model=model)
    if url is None:  # where a flow takes them, it tells
        taking = _telling(taking, definition, settings, trigger=trigger, asked=tell)
    with stopping_between_imports(), closing(taking):
        return (yield from taking)


def _telling(taking: Reports, definition: Definition, settings: Settings, *, trigger: str, asked: bool) -> Reports:
    """The same reports, each told to people, if it was asked for, and to the webhook."""
    from tasks.telling import tell_everybody

    with closing(taking):
        while True:
            try:
                report = next(taking)
            except StopIteration as stop:
                return int(stop.value)
            tell_everybody(definition, report, settings, now=datetime.now(UTC), trigger=trigger, asked=asked)
            yield report


@contextmanager
def telling_people(name: str, night: str | None, *, asked: bool) -> Iterator[None]:
    """Around a night that nobody looks at, if they are to be told: what keeps it from beginning, and every deadline that has
    passed. How a night ends that has begun is told where it ends."""
    try:
        yield
    except Exception as error:
        if asked:
            from tasks.unbegun import tell_unbegun

            now = datetime.now(UTC)
            tell_unbegun(name, error, readable_settings(), night=night, moment=now, now=now, trigger="command", asked=True)
            _tell_deadlines()
        raise
    if asked:
        _tell_deadlines()


def _tell_deadlines() -> None:
    from tasks.telling import tell_due, tell_left_over
    from tasks.unbegun import tell_still_unbegun

    settings, now = readable_settings(), datetime.now(UTC)
    try:
        tell_due(settings, now=now)
        tell_left_over(settings, now=now)
        tell_still_unbegun(settings, now=now)
    except OvernightError as error:
        log.warning("what is late could not be told: %s", error)


def _directly(
    definition: Definition,
    nights: Sequence[Interval],
    settings: Settings,
    *,
    trigger: str,
    holder: Mapping[str, Any],
    model: ModelMode,
) -> Reports:
    """Great Expectations takes seconds to import, so that begins beside the first ingestion."""
    from tasks.expectations import allow_preload
    from tasks.late import describe_retakes, take_late_nights
    from tasks.night import take_night
    from tasks.right_of_way import give_way
    from tasks.runners import runner_for
    from tasks.spread import backfill_address

    if definition.pipeline.runner.kind == "inline":
        allow_preload()
    address = backfill_address(definition, nights, settings)
    if address is not None:
        return worst_exit_code((yield from _spread(definition, nights, address=address, model=model, tell="tell" in holder)))
    call = runner_for(definition.pipeline, settings)
    codes: list[int] = []
    late: list[NightReport] = []
    if trigger == "command" and model == "as-due":
        for report in take_late_nights(definition, nights[0], settings, call=call):
            late.append(report)
            yield report
    take = partial(take_night, trigger=trigger, call=call, holder=holder, model=model)
    for night in nights:
        if trigger == BACKFILL:
            give_way(settings)
        try:
            report = take(definition, night, settings, also=describe_retakes(definition, late))
        except LockHeld as error:
            if trigger != BACKFILL:
                raise
            report = NightReport.without_run(definition.pipeline.name, night, str(error), exit_code=error.exit_code)
        codes.append(report.exit_code)
        yield report
    return worst_exit_code(codes)


def _side_by_side(
    definition: Definition,
    nights: Sequence[Interval],
    settings: Settings,
    *,
    holder: Mapping[str, Any],
    model: ModelMode,
    lanes: int,
) -> Reports:
    """As `_directly`, by processes that take a night each."""
    from tasks.lanes import take_side_by_side
    from tasks.right_of_way import is_way_clear

    codes: list[int] = []
    taking = take_side_by_side(
        definition, nights, settings, lanes=lanes, trigger=BACKFILL, model=model, holder=holder,
        may_begin=lambda: is_way_clear(settings),
    )  # fmt: skip
    with closing(taking):
        for report in taking:
            codes.append(report.exit_code)
            yield report
    return worst_exit_code(codes)


def _spread(
    definition: Definition, nights: Sequence[Interval], *, address: str, model: ModelMode, tell: bool
) -> Generator[NightReport, None, list[int]]:
    """The nights on Dask's workers, each report as its night ends; returns their exit codes."""
    from tasks.spread import take_nights_there

    codes = []
    for report in take_nights_there(definition, nights, address=address, model=model, tell=tell):
        codes.append(report.exit_code)
        yield report
    return codes


def _through_prefect(
    definition: Definition, nights: Sequence[Interval], url: str, *, trigger: str, model: ModelMode, parallel: int, tell: bool
) -> Reports:
    """Starts the flow by name, in a process of its own that Prefect's server watches; reads its reports line by line."""
    label, name = definition.pipeline.calendar.label, definition.pipeline.name
    if trigger != BACKFILL:
        command = ["nightly", name, "--interval", label(nights[0])]
    else:
        command = ["backfill", name, "--from", label(nights[0]), "--to", label(nights[-1])]
        if list(nights) != list(definition.pipeline.calendar.between(nights[0], nights[-1])):
            command += ["--nights", ",".join(map(label, nights))]
        command += ["--parallel", str(parallel)]
    command += ["--model", model, *(["--tell"] if tell else [])]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *command, "--json", "--quiet"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OVERNIGHT_PREFECT_API_URL": url},
    )
    assert process.stdout is not None
    begun = 0
    try:
        for line in process.stdout:
            document = _report_in(line)
            if document is None:  # a user's own code or estimator printed something
                sys.stderr.write(line)
                continue
            begun += 1
            yield NightReport.from_json(document, exit_code=document.get("exit_code", 0))
        code = process.wait()
    except BaseException:
        process.terminate()  # the night that is under way closes its line and lets its lock go
        process.wait()
        raise
    if code < 0:
        why = f"the process that took the nights was ended by signal {-code} after {begun} of {len(nights)}"
        raise StageFailed(why, where=name, hint=f"overnight status {name}")
    return code


def _report_in(line: str) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) and "run" in document else None
