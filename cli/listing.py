"""Commands that read the ledger: `status`, `runs`, `batches`, `models`. All take --json."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import typer
from rich.markup import escape

from cli.nights import Json, Name
from cli.show import out, print_json, print_pairs, print_table, say, say_next, styled
from domain.errors import UsageError
from domain.interval import Calendar, Interval
from domain.pipeline import Pipeline
from domain.standing import bare
from domain.trust import Freshness, grade_hindsight, judge_freshness, tell_hindsight
from domain.words import Outcome, RunState, counted
from infra.postgres import database_url, ensure_database
from infra.settings import load_settings
from store import listing
from store.engine import create_engine, transaction
from store.migrate import migrate

RETAKEN_FOR = timedelta(days=3)  # how long `status` names the nights that were taken again for late rows
MaybeName = Annotated[str | None, typer.Argument(help="A pipeline; none: all of them.")]
Night = Annotated[str | None, typer.Option("--interval", help="One night only, such as 2013-02-01.")]
Limit = Annotated[int, typer.Option(min=1, help="At most this many, the newest.")]


def add_commands(app: typer.Typer) -> None:
    app.command("status")(status)
    app.command("runs")(runs)
    app.command("batches")(batches)
    app.command("models")(models)


@contextmanager
def reading_ledger() -> Iterator[sa.Connection]:
    """A reader's connection; the schema is made first if this is a new database."""
    settings = load_settings()
    migrate(ensure_database(settings))
    engine = create_engine(database_url(settings, role="reader"), role="reader", pool_size=1)
    try:
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def known_pipeline(connection: sa.Connection, name: str) -> Pipeline:
    """The definition that the ledger has of a pipeline; raises UsageError when it has none."""
    known = listing.list_pipelines(connection, pipeline=name)
    if not known:
        raise UsageError(f"the ledger knows no pipeline {name!r}", hint="overnight status")
    return Pipeline.model_validate(known[0]["definition"])


def _start(calendar: Calendar, interval: str | None) -> datetime | None:
    return calendar.named(interval).start if interval else None


def _freshness(pipeline: Pipeline, newest: datetime | None, *, waived: Collection[datetime]) -> Freshness:
    calendar = pipeline.calendar
    return judge_freshness(
        calendar=calendar,
        deadline=pipeline.publish.deadline,
        newest_published=calendar.containing(newest) if newest else None,
        now=datetime.now(UTC),
        waived=waived,
    )


def status(name: MaybeName = None, as_json: Json = False) -> None:
    """How each pipeline stands: its newest published night, whether readers still wait, and why.

    Example: overnight status
    """
    with reading_ledger() as ledger:
        standings = read_standings(ledger, listing.list_pipelines(ledger, pipeline=name))
    _say_faults(standings, name)
    if name and not standings:
        raise UsageError(f"the ledger knows no pipeline {name!r}", hint="overnight status")
    if not standings:
        say("no pipeline has run yet; next: overnight demo, or overnight run NAME")
    for number, standing in enumerate(standings):
        if number and not as_json:
            out.print()
        print_json(standing) if as_json else _print_standing(standing)


def read_standings(ledger: sa.Connection, lines: listing.Rows) -> list[dict[str, Any]]:
    """How each pipeline stands; as many questions for a hundred pipelines as for one."""
    pipelines = {line["name"]: Pipeline.model_validate(line["definition"]) for line in lines}
    metrics = {name: pipeline.model.metric for name, pipeline in pipelines.items()}
    quality = listing.newest_quality(ledger, metrics)
    starts = {line["name"]: line["newest_start"] for line in lines if line["newest_start"]}
    estimates = listing.find_estimates(ledger, {name: (metrics[name], start) for name, start in starts.items()})
    retaken = _by_pipeline(listing.list_retaken(ledger, [*pipelines], since=datetime.now(UTC) - RETAKEN_FOR))
    gaps = _by_pipeline(listing.list_gaps(ledger, [*pipelines]))
    return [
        {
            **_standing(line, pipeline, quality=quality.get(name), retaken=retaken.get(name, [])),
            "gaps": _missing_nights(pipeline, gaps.get(name, [])), "estimate": _estimate(pipeline, estimates.get(name)),
        }
        for line, (name, pipeline) in zip(lines, pipelines.items(), strict=True)
    ]  # fmt: skip


def _by_pipeline(lines: listing.Rows) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["pipeline"], []).append(line)
    return found


def _missing_nights(pipeline: Pipeline, spans: listing.Rows) -> list[str]:
    """The nights between published ones of which nothing is published and that nobody has waived."""
    calendar, nights = pipeline.calendar, list[str]()
    for span in spans:
        between = calendar.between(calendar.containing(span["start"]), calendar.containing(span["until"]))
        nights += [calendar.label(night) for night in between if night.start < span["until"]]
    return nights


def _estimate(pipeline: Pipeline, found: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the newest night should turn out to be worth, as long as none of its answers is there."""
    if found is None:
        return None
    return {"night": pipeline.calendar.label(pipeline.calendar.containing(found["interval_start"])), **found}


def _standing(
    line: dict[str, Any], pipeline: Pipeline, *, quality: dict[str, Any] | None, retaken: listing.Rows
) -> dict[str, Any]:  # fmt: skip
    label = pipeline.calendar.label
    fresh = _freshness(pipeline, line["newest_start"], waived=line["waived"])

    def named(start: datetime | None) -> str | None:
        return label(pipeline.calendar.containing(start)) if start else None

    return {
        "pipeline": line["name"],
        "title": line["title"],
        "timezone": str(pipeline.interval.timezone),
        "nights_published": line["nights_published"],
        "newest_published": named(line["newest_start"]),
        "hindsight_rows": line["newest_hindsight_rows"] or 0,
        "hindsight": grade_hindsight(line["newest_hindsight_rows"] or 0, line["newest_rows"] or 0),
        "rows": line["newest_rows"] or 0,
        "verdict": line["newest_verdict"],
        "held_since": bare(line["newest_verdict_reason"]) if line["newest_verdict"] == Outcome.HELD else None,
        "fresh": fresh.fresh,
        "late_since": fresh.late_since.isoformat() if fresh.late_since else None,
        "due": label(fresh.due) if fresh.due else None,
        "waived_since": fresh.left_out,
        "newest_night": named(line["night_start"]),
        "state": line["state"] or "never",
        "reason": line["reason"] or "",
        "quality": quality,
        "late_rows": [
            {"night": named(one["interval_start"]), "state": one["state"], "reason": one["reason"], "at": one["ended_at"]}
            for one in retaken
        ],
    }


def _say_faults(standings: list[dict[str, Any]], name: str | None) -> None:
    """What is wrong with the folders as they are now, which the ledger may not have heard of."""
    from deployments.catalogue import fault_of, pipeline_names

    deployments = load_settings().deployments
    names = [one["pipeline"] for one in standings]
    for standing in standings:
        standing["fault"] = None
    for one in pipeline_names(deployments):
        if name in (None, one) and (error := fault_of(deployments, one)):
            say(f"{one} is wrong, and its nights fail until that is mended: {error}")
            if one in names:
                standings[names.index(one)]["fault"] = error.what


def _print_standing(standing: dict[str, Any]) -> None:
    fresh = "fresh" if standing["fresh"] else "late"
    print_pairs([(f"[bold]{standing['pipeline']}[/]  {styled(fresh)}", escape(standing["title"]))])
    print_pairs(_facts(standing), indent=2)
    if standing["gaps"]:
        name, first, last = standing["pipeline"], standing["gaps"][0], standing["gaps"][-1]
        say_next(f"overnight backfill {name} --from {first} --to {last} --mode failed", f"overnight waive {name} {first} --why …")


def _facts(standing: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What there is to say of a pipeline, each under its heading."""
    yield (
        "newest published",
        f"{standing['newest_published'] or 'none yet'} ({counted(standing['nights_published'], 'night')} with predictions)",
    )
    if standing["held_since"] is not None:
        yield "held since", f"{standing['held_since']}; readers go on seeing it"
    if standing["hindsight_rows"]:
        yield "in hindsight", tell_hindsight(standing["hindsight_rows"], standing["rows"])
    if standing["late_since"]:
        since = datetime.fromisoformat(standing["late_since"]).astimezone(ZoneInfo(standing["timezone"]))
        yield "late since", f"{since:%Y-%m-%d %H:%M %Z}; {standing['due']} is the newest that is due"
    if standing["waived_since"]:
        yield "waived since", counted(standing["waived_since"], "night")
    night, said = standing["newest_night"] or "-", escape(standing["reason"] or "-")
    yield "newest night", f"{night}: {styled(standing['state'])}, {said.removeprefix('held: ')}"
    if standing["gaps"]:
        nights, more = ", ".join(standing["gaps"][:5]), len(standing["gaps"]) - 5
        yield "not published", f"{nights}{f' and {more} more' if more > 0 else ''}"
    if standing["late_rows"]:
        taken = ", ".join(f"{one['night']} {one['state']}" for one in standing["late_rows"])
        yield "late rows", f"taken again in the last {RETAKEN_FOR.days} days: {taken}"
    if standing["quality"]:
        q = standing["quality"]
        yield "realised", f"{q['metric']} {q['value']:.3f}, dummy {q['dummy']:.3f}, on {q['rows']:,} rows"
    if standing["estimate"]:
        e = standing["estimate"]
        yield (
            "estimate",
            f"{e['metric']} {e['value']:.3f} ({e['low']:.3f} to {e['high']:.3f}) for {e['night']}, until its answers come",
        )


def runs(
    name: MaybeName = None,
    interval: Night = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed, crashed or were held.")] = False,
    limit: Limit = 40,
    as_json: Json = False,
) -> None:
    """Runs, newest last, with the seconds of each stage.

    Example: overnight runs flights --failed
    """
    if interval and not name:
        raise UsageError("--interval needs the pipeline whose calendar it belongs to", hint="overnight runs NAME --interval …")
    with reading_ledger() as ledger:
        start = _start(known_pipeline(ledger, name).calendar, interval) if name else None
        lines = listing.list_runs(ledger, pipeline=name, start=start, failed=failed, limit=limit)
        known = {line["name"]: line["definition"] for line in listing.list_pipelines(ledger, pipeline=name)}
        calendars = {n: Pipeline.model_validate(known[n]).calendar for n in {line["pipeline"] for line in lines}}
    if as_json:
        for line in lines:
            print_json(line)
        return
    print_table(
        counted(len(lines), "run"),
        ["run", "pipeline", "night", "state", "s", ""],
        [
            (
                line["run"], line["pipeline"], _label(calendars[line["pipeline"]], line), styled(line["state"]),
                f"{line['seconds']:.1f}" if line["seconds"] is not None else "", _told(line),
            )
            for line in lines
        ],
        numbers=["run", "s"],
    )  # fmt: skip


def _told(line: dict[str, Any]) -> str:
    """Why a run ended as it did; of one that was published, the stages that took most of its time."""
    if line["state"] != RunState.PUBLISHED:
        return escape(line["reason"] or "")
    seconds = {stage: float(took) for stage, took in line["stages"].items() if took is not None}
    longest = sorted(seconds.items(), key=lambda one: -one[1])[:3]
    return ", ".join(f"{stage} {took:.1f}" for stage, took in longest)


def _label(calendar: Calendar, line: dict[str, Any]) -> str:
    return calendar.label(Interval(line["interval_start"], line["interval_end"]))


def batches(name: Name, interval: Night = None, limit: Limit = 40, as_json: Json = False) -> None:
    """Batches, newest last: what each holds, and which of them readers see.

    Example: overnight batches flights --interval 2013-01-20
    """
    with reading_ledger() as ledger:
        calendar = known_pipeline(ledger, name).calendar
        lines = listing.list_batches(ledger, pipeline=name, start=_start(calendar, interval), limit=limit)
    if as_json:
        for line in lines:
            print_json(line)
        return
    print_table(
        f"{name}: {counted(len(lines), 'batch', many='batches')}",
        ["batch", "kind", "night", "rows", "rejected", "model", "verdict", "seen", "content"],
        [
            (
                line["batch"], line["kind"], _label(calendar, line), f"{line['rows']:,}", f"{line['rejected']:,}",
                line["model"], f"pruned {line['pruned']:%F}" if line["pruned"] else line["verdict"] or line["state"],
                "yes" if line["published"] else "",
                (line["content_hash"] or "")[:8],
            )
            for line in lines
        ],
        numbers=["batch", "rows", "rejected", "model"],
    )  # fmt: skip


def models(name: Name, as_json: Json = False) -> None:
    """Model versions: what each learned from, how it was judged, and since which night it is champion.

    Example: overnight models flights
    """
    with reading_ledger() as ledger:
        pipeline = known_pipeline(ledger, name)
        lines = listing.list_models(ledger, pipeline=name)
    if as_json:
        for line in lines:
            print_json(line)
        return
    label = pipeline.calendar.label
    print_table(
        f"{name}: {counted(len(lines), 'model')}",
        ["version", "trained for", "rows", "champion from", "why"],
        [
            (
                line["version"], label(pipeline.calendar.containing(line["trained_for"])), f"{line['rows']:,}",
                label(pipeline.calendar.containing(line["champion_from"])) if line["champion_from"] else "never", line["why"],
            )
            for line in lines
        ],
        numbers=["version", "rows"],
    )  # fmt: skip
