"""Commands that take nights: `run`, `backfill`; and what all that name one share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.show import err, print_json, print_pairs, print_table, say, say_next, styled
from cli.taking import Reports, take_nights, telling_people
from deployments.catalogue import Definition
from domain.errors import EXIT_DONE, UsageError
from domain.interval import Interval
from domain.planning import BACKFILL, Mode, ModelMode
from domain.report import NightReport, StageReport
from domain.words import RunState, Stage, counted
from infra.settings import load_settings
from store.runs import FROM_STAGE

Name = Annotated[str, typer.Argument(help="The pipeline's name, as under deployments/.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Direct = Annotated[bool, typer.Option("--direct", help="Do not go through a Prefect server, even if one is up.")]
Parallel = Annotated[int, typer.Option("--parallel", min=1, max=32, help="Take up to so many nights side by side.")]
Tell = Annotated[
    bool,
    typer.Option(
        "--tell", help="Wake messages and webhook as a night of the schedule does, and tell what is late: what a crontab needs."
    ),
]
From = Annotated[str | None, typer.Option("--from", help="The first night; none: the pipeline's first.")]
To = Annotated[str | None, typer.Option("--to", help="The last night, included; none: the newest that is over.")]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="as-due: trained when due; as-was: that night's champion, untrained; as-if: trained for each night with its "
        "cut-off; hindsight: today's champion, whatever it has seen; marks every row.",
    ),
]
ModeOption = Annotated[str, typer.Option("--mode", help="missing, failed, changed or all; each takes what the one before takes.")]
LOOKED_BACK = 4 * 3600.0  # seconds of which the time left is told: nights that train are few, and one may take long


def add_commands(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("backfill")(backfill)


def run(
    name: Name,
    interval: Annotated[str | None, typer.Option(help="The night, such as 2013-02-01; none: the newest that is over.")] = None,
    as_json: Json = False,
    direct: Direct = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train a new version, whether it is due or not.")] = False,
    from_stage: Annotated[
        Stage | None, typer.Option(help="Keep what earlier stages made as it is, and do this one and later ones anew.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Do all anew though nothing changed: --from-stage ingest.")] = False,
    hindsight: Annotated[bool, typer.Option("--hindsight", help="The same as --model hindsight.")] = False,
    model: ModelOption = "as-due",
    tell: Tell = False,
) -> None:
    """Take one night through the stages. Through Prefect when its server is up, otherwise in this process.

    A night that was taken before goes on at the first stage whose output is missing or was made from something else.

    Example: overnight run flights --interval 2013-02-01
    """
    if force and from_stage not in (None, Stage.INGEST):
        raise UsageError("--force begins at ingest, so it takes no --from-stage", hint="overnight run --help")
    first = Stage.INGEST if force else from_stage
    asked = {**({"retrain": True} if retrain else {}), **({FROM_STAGE: str(first)} if first else {})}
    with telling_people(name, interval, asked=tell):
        definition = prepared(name)
        night = choose_interval(definition, interval)
        taking = take_nights(
            definition, [night], load_settings(), trigger="command", direct=direct, asked=asked,
            model="hindsight" if hindsight else known_model(model), tell=tell,
        )  # fmt: skip
        with waiting(f"{name} {definition.pipeline.calendar.label(night)}"):
            reports, code = collect(taking, definition, as_json, advance=lambda _: None)
    for report in reports if not as_json else []:
        print_night(definition, report)
    raise typer.Exit(code)


def backfill(
    name: Name,
    start: From = None,
    end: To = None,
    mode: ModeOption = "all",
    as_json: Json = False,
    direct: Direct = False,
    model: ModelOption = "as-due",
    parallel: Parallel = 1,
    tell: Tell = False,
) -> None:
    """Plan and apply in one: take the nights from one to another, oldest first; those that are done already are skipped.

    Example: overnight backfill flights --from 2013-01-01 --to 2013-02-04
    """
    with telling_people(name, f"{start or 'the first night'} to {end or 'now'}", asked=tell):
        definition, asked_for = prepared(name), known_mode(mode)
        nights = _choose_nights(definition, start, end, mode=asked_for, model=known_model(model))
        reports, code = backfill_nights(
            definition, nights, as_json=as_json, direct=direct, model=known_model(model), parallel=parallel, tell=tell
        )
    if not as_json and reports:
        print_nights(definition, reports)
    raise typer.Exit(code)


def _choose_nights(
    definition: Definition, start: str | None, end: str | None, *, mode: Mode, model: ModelMode
) -> list[Interval]:  # fmt: skip
    """Those that the mode takes. `all` needs no plan: each night finds by itself whether there is anything to do."""
    from tasks.planning import plan_range

    nights = choose_range(definition, start, end, command="backfill")
    if mode != "all":
        first, last = map(definition.pipeline.calendar.label, (nights[0], nights[-1]))
        nights = [one.interval for one in plan_range(definition, nights, load_settings(), mode=mode, model=model)]
        if not nights:
            say(f"nothing to do: no night from {first} to {last} is {mode}")
    return nights


def backfill_nights(
    definition: Definition,
    nights: list[Interval],
    *,
    as_json: bool = False,
    direct: bool = False,
    model: ModelMode = "as-due",
    parallel: int = 1,
    tell: bool = False,
    again: str = "the same command",
) -> tuple[list[NightReport], int]:
    """Several nights under a progress bar; returns their reports and the exit code. `again` is what goes on after Ctrl-C."""
    if not nights:
        return [], EXIT_DONE
    taking = take_nights(
        definition, nights, load_settings(), trigger=BACKFILL, direct=direct, model=model, parallel=parallel, tell=tell
    )
    with progress(definition.pipeline.name, len(nights)) as advance:
        return collect(taking, definition, as_json, advance=advance, again=again)


def known_model(model: str) -> ModelMode:
    """Raises UsageError for a word that names no way to choose the model."""
    if model not in get_args(ModelMode):
        raise UsageError(f"{model!r} is no way to choose a model; there are {', '.join(get_args(ModelMode))}")
    return cast(ModelMode, model)


def known_mode(mode: str) -> Mode:
    """Raises UsageError for a word that names no choice of nights."""
    if mode not in get_args(Mode):
        raise UsageError(f"{mode!r} is no mode; there are {', '.join(get_args(Mode))}")
    return cast(Mode, mode)


def choose_range(definition: Definition, start: str | None, end: str | None, *, command: str) -> list[Interval]:
    """The nights from one to another, both included, oldest first; by default from the first to the newest that is over."""
    first = choose_interval(definition, start) if start else definition.pipeline.calendar.first
    last, label = choose_interval(definition, end), definition.pipeline.calendar.label
    if first > last:
        raise UsageError(f"--from {label(first)} lies after --to {label(last)}", hint=f"overnight {command} --help")
    if last.end > datetime.now(UTC):
        over = label(choose_interval(definition, None))
        again = f"overnight {command} {definition.pipeline.name} --from {label(first)} --to {over}"
        raise UsageError(f"the night of {end} is not over yet; {over} is the newest that is", hint=again)
    return list(definition.pipeline.calendar.between(first, last))


def prepared(name: str) -> Definition:
    """The pipeline's definition, with database, schema and tables ready for it."""
    from tasks.prepare import prepare

    (definition,) = prepare(load_settings(), name)
    return definition


def collect(
    taking: Reports, definition: Definition, as_json: bool, *, advance: Callable[[str], None], again: str = "the same command"
) -> tuple[list[NightReport], int]:
    """Tells `advance` of each night as it ends, and prints it as JSON if asked; returns all reports and the exit code. Ctrl-C
    closes the night under way, and how far it came is said."""
    reports: list[NightReport] = []
    while True:
        try:
            report = next(taking)
        except StopIteration as stop:
            return reports, stop.value
        except KeyboardInterrupt:
            ended = counted(len(reports), "night")
            say(f"{ended} ended before; what was published stays, and {again} goes on from there")
            raise
        reports.append(report)
        if as_json:
            print_json(report.to_json())
        advance(definition.pipeline.calendar.label(report.interval))


def choose_interval(definition: Definition, name: str | None) -> Interval:
    """The named interval, or the newest one that is over by this machine's clock."""
    calendar = definition.pipeline.calendar
    if name is not None:
        return calendar.named(name)
    newest = calendar.before(datetime.now(UTC))
    if newest is None:
        raise UsageError("no interval of this pipeline is over yet", hint="wait for the end of its first interval")
    return newest


def waiting(title: str) -> AbstractContextManager[object]:
    """A spinner on stderr for one night; nothing at all where nobody looks."""
    return err.status(title) if err.is_terminal else nullcontext()


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr with the time that is left; nothing at all where nobody looks."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err, transient=True,
        disable=not err.is_terminal, speed_estimate_period=LOOKED_BACK,
    )  # fmt: skip
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda label: bar.update(task, advance=1, description=f"{title} {label}")


def print_night(definition: Definition, report: NightReport) -> None:
    """One night for a person: how it ended, each stage, and what to type next."""
    label = definition.pipeline.calendar.label(report.interval)
    print_pairs(
        [(f"[bold]{report.pipeline} {label}[/]  {styled(str(report.state))}", escape(report.reason.removeprefix("held: ")))]
    )
    print_table(
        "",
        ["stage", "state", "s", "rows", ""],
        [(s.stage, s.state, f"{s.seconds:.1f}", f"{s.rows_out:,}", escape(_said_of(s, report))) for s in report.stages],
        numbers=["s", "rows"],
    )
    if report.state is RunState.HELD and report.rows_rejected:
        say_next(f"overnight rejects {report.pipeline} {label}")
    elif report.state in (RunState.HELD, RunState.FAILED):
        say_next(f"overnight runs {report.pipeline} --interval {label}")
    elif report.state is RunState.PUBLISHED:
        say_next(f"overnight batches {report.pipeline} --interval {label}", "overnight up, and look at it")


def _said_of(stage: StageReport, report: NightReport) -> str:
    """What a stage adds to what was said of the whole night."""
    aside = f"{stage.rows_rejected:,} rows set aside" if stage.rows_rejected else ""
    return "; ".join(one for one in (aside, stage.reason if stage.reason != report.reason else "") if one)


def print_nights(definition: Definition, reports: list[NightReport]) -> None:
    """A table of nights: how each went, and a sentence for each that needs one."""
    label = definition.pipeline.calendar.label
    print_table(
        f"{definition.pipeline.name}: {counted(len(reports), 'night')}",
        ["night", "state", "batch", "model", "read", "rejected", "scored", "s"],
        [
            (
                label(r.interval), styled(str(r.state)), r.batch, r.model, f"{r.rows_read:,}", f"{r.rows_rejected:,}",
                f"{r.rows_scored:,}", f"{sum(s.seconds for s in r.stages):.1f}",
            )
            for r in reports
        ],
        numbers=["batch", "model", "read", "rejected", "scored", "s"],
    )  # fmt: skip
    print_troubles(definition, reports)


def print_troubles(definition: Definition, reports: list[NightReport]) -> None:
    """A sentence for each night that was held or failed; nights with the same trouble share one."""
    label = definition.pipeline.calendar.label
    troubles: dict[tuple[RunState, str], list[str]] = {}
    for report in reports:
        if report.state in (RunState.HELD, RunState.FAILED):
            troubles.setdefault((report.state, report.reason), []).append(label(report.interval))
    for (state, reason), nights in troubles.items():
        which = nights[0] if len(nights) == 1 else f"{nights[0]} to {nights[-1]} ({len(nights)} nights)"
        say(f"{which} {state}: {reason.removeprefix('held: ')}")
