"""Commands about what is kept: `prune`, `pin`, `unpin`."""

import getpass
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.champions import Why
from cli.nights import Json, progress
from cli.show import print_json, print_table, say
from deployments.catalogue import Definition, pipeline_names
from domain.errors import EXIT_USAGE
from domain.pruning import PrunePlan, size_words
from infra.settings import Settings, load_settings

MaybeName = Annotated[str | None, typer.Argument(help="A pipeline; none: all of them.")]
Number = Annotated[int, typer.Argument(min=1, help="The batch's number, as `overnight batches` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without it, only say what would be done.")]


def add_commands(app: typer.Typer) -> None:
    for command in (prune, pin, unpin):
        app.command(command.__name__)(command)


def prune(name: MaybeName = None, yes: Yes = False, as_json: Json = False) -> None:
    """Drop what is older than pipeline.yaml keeps. What readers see, what is pinned, and what either needs stays.

    Example: overnight prune flights --yes
    """
    from tasks.maintain import sweep

    settings, now = load_settings(), datetime.now(UTC)
    names = [name] if name else pipeline_names(settings.deployments)
    definitions, wrong = _prepared(settings, name)
    if not names and not as_json:
        say(f"there is no pipeline in {settings.deployments}; next: overnight new NAME --from FILE")
    plans = [_prune(definition, settings, now, act=yes, as_json=as_json) for definition in definitions]
    swept = sweep(settings, names, at=now, act=yes)
    for one in swept:
        said = f"{len(one.found):,} {one.what}" + (" gone" if yes else "")
        print_json({**one.to_json(), "done": yes}) if as_json else say(said)
    if not yes and (swept or any(plan.going for plan in plans)) and not as_json:
        say(f"nothing was changed; to do it: overnight prune {name + ' ' if name else ''}--yes")
    for sentence in wrong:
        say(f"left as it is: {sentence}")
    if wrong:
        raise typer.Exit(EXIT_USAGE)


def _prepared(settings: Settings, name: str | None) -> tuple[Sequence[Definition], list[str]]:
    """The named pipeline, or all that are as they should be, with a sentence for each of the others."""
    from tasks.prepare import prepare, prepare_house

    if name:
        return prepare(settings, name), []
    house = prepare_house(settings)
    return house.definitions, house.describe(*house.faults)


def _prune(definition: Definition, settings: Settings, now: datetime, *, act: bool, as_json: bool) -> PrunePlan:
    from tasks.pruning import plan as plan_pruning
    from tasks.pruning import prune as drop

    name, plan = definition.pipeline.name, plan_pruning(definition, settings, at=now)
    if not as_json:
        _show(definition, plan)
    deeds = []
    if act and plan.going:
        with progress(name, len(plan.going)) as advance:
            for deed in drop(definition, settings, plan, who=getpass.getuser()):
                deeds.append(deed)
                advance(f"batch {deed.old.batch}")
    freed, stayed = sum(deed.freed for deed in deeds), [deed for deed in deeds if deed.stays]
    if as_json:
        stays = [{"batch": deed.old.batch, "part": deed.old.part, "why": deed.stays} for deed in stayed]
        print_json({**plan.to_json(), "done": act, "freed": freed, "stayed": stays})
    elif act and plan.going:
        say(f"{name}: {len(deeds) - len(stayed):,} parts of batches pruned, {size_words(freed)} freed; their lines remain")
        for deed in stayed:
            say(deed.stays)
    return plan


def _show(definition: Definition, plan: PrunePlan) -> None:
    name, keep = plan.pipeline, definition.pipeline.keep
    if keep.batches is None and keep.rejected is None:
        say(f"{name} keeps everything: pipeline.yaml has no line such as keep: {{batches: 400 days, rejected: 90 days}}")
        return
    if not plan.old:
        say(f"{name}: nothing is older than its limit")
        return
    label = definition.pipeline.calendar.label
    may = f"{len(plan.going):,} of {len(plan.old):,} old parts of batches may go"
    print_table(
        f"{name}: {may}, {plan.rows:,} rows, {size_words(plan.bytes)}",
        ["what", "parts", "rows", "size", "nights"],
        [_line(kind, [one for one in plan.going if _kind(one) == kind], label) for kind in plan.counts()],
        numbers=["parts", "rows", "size"],
    )
    for why, count in Counter(one.kept for one in plan.staying).most_common(12):
        say(f"  {count:,} stay{'s' if count == 1 else ''}: {why}")


def _kind(one: Any) -> str:
    return "rejected" if one.part == "rejected" else str(one.kind)


def _line(kind: str, parts: list[Any], label: Any) -> tuple[Any, ...]:
    nights = sorted({one.interval for one in parts})
    rows, size = sum(one.rows for one in parts), sum(one.bytes for one in parts)
    span = label(nights[0]) if len(nights) == 1 else f"{label(nights[0])} to {label(nights[-1])}"
    return escape(kind), f"{len(parts):,}", f"{rows:,}", size_words(size), span


def pin(batch: Number, why: Why, as_json: Json = False) -> None:
    """Keep a batch's rows, and those it was made from, until it is unpinned.

    Example: overnight pin 17 --why "the audit of March"
    """
    from tasks.pruning import pin as speak

    settings = _ready()
    found = speak(settings, batch, who=getpass.getuser(), why=why)
    _tell(found, "pinned", why, as_json=as_json, then=f"overnight unpin {batch} --why …")


def unpin(batch: Number, why: Why, as_json: Json = False) -> None:
    """Take a pin back: the batch is kept as long as any other.

    Example: overnight unpin 17 --why "the audit is over"
    """
    from tasks.pruning import unpin as speak

    settings = _ready()
    found = speak(settings, batch, who=getpass.getuser(), why=why)
    _tell(found, "unpinned", why, as_json=as_json, then="overnight prune")


def _ready() -> Settings:
    from tasks.prepare import prepare

    settings = load_settings()
    prepare(settings)
    return settings


def _tell(batch: Any, what: str, why: str, *, as_json: bool, then: str) -> None:
    if as_json:
        print_json({"batch": batch.id, "pipeline": batch.pipeline, "kind": str(batch.kind), "what": what, "why": why})
        return
    say(f"batch {batch.id} ({batch.kind} of {batch.pipeline}, {batch.rows:,} rows) is {what}: {why}; next: {then}")
