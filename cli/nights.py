"""Commands that take nights: `run`, `backfill`, `trigger`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.show import err, out, print_json, print_table, say, styled
from deployments.catalogue import Definition
from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_HELD, UsageError
from domain.interval import Interval
from domain.report import NightReport
from domain.words import RunState
from infra.settings import Settings, load_settings

Name = Annotated[str, typer.Argument(help="The pipeline's name, as under deployments/.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


def add_commands(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("backfill")(backfill)
    app.command("trigger")(trigger)


def run(
    name: Name,
    interval: Annotated[str | None, typer.Option(help="The night, such as 2013-02-01; none: the newest that is over.")] = None,
    as_json: Json = False,
    direct: Annotated[bool, typer.Option("--direct", help="Do not go through a Prefect server, even if one is up.")] = False,
) -> None:
    """Take one night through the stages. Through Prefect when its server is up, otherwise in this process.

    Example: overnight run flights --interval 2013-02-01
    """
    from tasks.prepare import prepare

    settings = load_settings()
    (definition,) = prepare(settings, name)
    night = choose_interval(definition, interval)
    if not direct and through_prefect(settings, "nightly", name, night, night, definition=definition, as_json=as_json):
        return
    report = take(definition, night, settings, trigger="command")
    print_json(report.to_json()) if as_json else print_night(definition, report)
    raise typer.Exit(report.exit_code)


def backfill(
    name: Name,
    start: Annotated[str, typer.Option("--from", help="The first night.")],
    end: Annotated[str, typer.Option("--to", help="The last night, included.")],
    as_json: Json = False,
    direct: Annotated[bool, typer.Option("--direct", help="Do not go through a Prefect server, even if one is up.")] = False,
) -> None:
    """Take every night from one to another, oldest first; nights that are done already are skipped.

    Example: overnight backfill flights --from 2013-01-01 --to 2013-02-04
    """
    from tasks.prepare import prepare

    settings = load_settings()
    (definition,) = prepare(settings, name)
    first, last = choose_interval(definition, start), choose_interval(definition, end)
    if first > last:
        raise UsageError(f"--from {start} lies after --to {end}", hint="overnight backfill --help")
    if not direct and through_prefect(settings, "backfill", name, first, last, definition=definition, as_json=as_json):
        return
    intervals = list(definition.pipeline.calendar.between(first, last))
    reports = []
    with progress(f"{name}", len(intervals)) as advance:
        for night in intervals:
            reports.append(take(definition, night, settings, trigger="backfill"))
            advance(definition.pipeline.calendar.label(night))
            if as_json:
                print_json(reports[-1].to_json())
    if not as_json:
        print_nights(definition, reports)
    raise typer.Exit(worst_exit(reports))


def take(definition: Definition, night: Interval, settings: Settings, *, trigger: str) -> NightReport:
    """One night in this process; Great Expectations is imported beside the ingestion."""
    from tasks.expectations import preload

    from tasks.night import take_night

    preload()
    return take_night(definition, night, settings, trigger=trigger)


def choose_interval(definition: Definition, name: str | None) -> Interval:
    """The named interval, or the newest one that is over by this machine's clock."""
    calendar = definition.pipeline.calendar
    if name is not None:
        return calendar.named(name)
    newest = calendar.before(datetime.now(UTC))
    if newest is None:
        raise UsageError("no interval of this pipeline is over yet", hint=f"overnight run {definition.pipeline.name} --help")
    return newest


def worst_exit(reports: list[NightReport]) -> int:
    """The exit code of several nights: that of the worst one, failures before held nights."""
    codes = [report.exit_code for report in reports]
    return max((code for code in codes if code not in (EXIT_DONE, EXIT_HELD)), default=max(codes, default=EXIT_FAILED))


def through_prefect(
    settings: Settings, flow: str, name: str, first: Interval, last: Interval, *, definition: Definition, as_json: bool
) -> bool:
    """Runs the flow by name against a Prefect server that is up, and ends with its exit code; False when none is."""
    from infra.prefect_api import find_server, flow_command

    url = find_server(settings)
    if url is None:
        return False
    import os
    import subprocess

    label = definition.pipeline.calendar.label
    command = flow_command(flow, name, label(first), label(last), as_json=as_json)
    finished = subprocess.run([sys.executable, *command], env={**os.environ, "PREFECT_API_URL": url}, check=False)
    raise typer.Exit(finished.returncode)


def trigger(
    name: Name,
    interval: Annotated[str | None, typer.Option(help="The night; none: the newest that is over.")] = None,
    as_json: Json = False,
) -> None:
    """Start a run on Prefect's worker, and follow it to its end.

    Example: overnight trigger flights --interval 2013-02-05
    """
    from infra.prefect_api import follow_run, start_run

    from tasks.prepare import prepare

    settings = load_settings()
    (definition,) = prepare(settings, name)
    label = definition.pipeline.calendar.label(choose_interval(definition, interval))
    flow_run = start_run(settings, name, interval=label)
    say(f"started {name} {label} on Prefect's worker: {flow_run.url}")
    end = follow_run(settings, flow_run, on_line=lambda line: err.print(line, markup=False))
    say(f"{name} {label}: {end.state}" + (f", {end.message}" if end.message else ""))
    if as_json:
        print_json({"pipeline": name, "interval": label, "flow_run": flow_run.id, "state": end.state, "message": end.message})
    raise typer.Exit(end.exit_code)


@contextmanager
def progress(title: str, total: int) -> Iterator[object]:
    """A bar on stderr with the time that is left; nothing at all where nobody looks."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err, transient=True,
        disable=not err.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda label: bar.update(task, advance=1, description=f"{title} {label}")


def print_night(definition: Definition, report: NightReport) -> None:
    """One night for a person: how it ended, each stage, and what to type next."""
    label = definition.pipeline.calendar.label(report.interval)
    out.print(f"[bold]{report.pipeline} {label}[/]  {styled(str(report.state))}  {report.reason}", markup=True)
    print_table(
        "",
        ["stage", "state", "seconds", "in", "out", "rejected", ""],
        [
            (s.stage, s.state, f"{s.seconds:.2f}", f"{s.rows_in:,}", f"{s.rows_out:,}", f"{s.rows_rejected:,}", s.reason)
            for s in report.stages
        ],
        numbers=["seconds", "in", "out", "rejected"],
    )
    if report.state in (RunState.HELD, RunState.FAILED):
        say(f"next: overnight runs {report.pipeline} --interval {label}")
    elif report.state is RunState.PUBLISHED:
        say(f"next: overnight batches {report.pipeline} --interval {label}, or see it with: overnight up")


def print_nights(definition: Definition, reports: list[NightReport]) -> None:
    """A table of nights: how each went, and a line that counts them."""
    label = definition.pipeline.calendar.label
    print_table(
        f"{definition.pipeline.name}: {len(reports)} nights",
        ["night", "state", "batch", "model", "read", "rejected", "scored", "seconds"],
        [
            (
                label(r.interval), styled(str(r.state)), r.batch, r.model, f"{r.rows_read:,}", f"{r.rows_rejected:,}",
                f"{r.rows_scored:,}", f"{sum(s.seconds for s in r.stages):.1f}",
            )
            for r in reports
        ],
        numbers=["batch", "model", "read", "rejected", "scored", "seconds"],
    )  # fmt: skip
    for report in reports:
        if report.state in (RunState.HELD, RunState.FAILED):
            say(f"{label(report.interval)} {report.state}: {report.reason}")
