"""Commands about what may be published: `check`, `rejects`, `replay`, `hold`, `release`, `revalidate`, `suggest`."""

import getpass
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.champions import Why
from cli.nights import Json, Name, choose_interval, prepared, print_night
from cli.show import out, print_json, print_table, say, say_next
from deployments.catalogue import Definition
from domain.errors import EXIT_DONE, EXIT_HELD, UsageError
from domain.interval import Interval
from domain.rejected import read_key
from domain.words import Outcome, Severity
from infra.settings import load_settings

Night = Annotated[str, typer.Argument(help="The night, such as 2013-02-01.")]
MaybeNight = Annotated[str | None, typer.Option("--interval", help="The night; none: the newest that is over.")]


def add_commands(app: typer.Typer) -> None:
    for command in (check, rejects, replay, hold, release, revalidate, suggest):
        app.command(command.__name__)(command)


def _named(name: str, night: str | None) -> tuple[Definition, Interval]:
    definition = prepared(name)
    return definition, choose_interval(definition, night)


def check(name: Name, interval: MaybeNight = None, as_json: Json = False) -> None:
    """Try a definition against its source without writing anything: what would land, what would be set aside, the verdict.

    Example: overnight check flights --interval 2013-02-01
    """
    from tasks.check import check as try_out

    definition, night = _named(name, interval)
    found = try_out(definition, night, load_settings())
    if as_json:
        print_json(found.to_json())
    else:
        read = found.landed + found.unreadable + found.caught
        out.print(f"[bold]{name} {found.label}[/]  would be {found.outcome}: {escape(found.reason)}")
        say(f"{read:,} rows read, {found.landed:,} would land, {found.unreadable + found.caught:,} would be set aside")
        rules = [result.to_json() for result in found.results]
        print_table("", ["rule", "", "found"], [_rule(rule) for rule in rules])
    raise typer.Exit(EXIT_HELD if found.outcome is Outcome.HELD else EXIT_DONE)


def _rule(rule: dict[str, Any]) -> tuple[str, ...]:
    """What a rule that holds has measured; of one that does not, the whole sentence."""
    passed = rule["state"] == "passed"
    warns = " (only warns)" if rule["severity"] == Severity.WARNING else ""
    measured = f"{rule['observed']:.4g}" if isinstance(rule["observed"], int | float) else ""
    found = measured if passed else "" if rule["sentence"] == rule["says"] else str(rule["sentence"])
    return escape(f"{rule['says']}{warns}"), "[green]passed[/]" if passed else f"[yellow]{rule['state']}[/]", escape(found)


def rejects(
    name: Name,
    night: Night,
    limit: Annotated[int, typer.Option(min=1, help="At most this many rows in the table.")] = 20,
    as_csv: Annotated[bool, typer.Option("--csv", help="All of them, as CSV on stdout.")] = False,
    as_json: Json = False,
) -> None:
    """The rows of a night that were set aside: where each stood, which rule caught it, and why.

    Example: overnight rejects flights 2013-02-01 --csv > rejects.csv
    """
    from tasks.rejects import list_rejects, write_rejects

    definition, interval = _named(name, night)
    if as_csv:
        write_rejects(definition, interval, load_settings(), file=sys.stdout.buffer)
        return
    found = list_rejects(definition, interval, load_settings(), limit=limit)
    if as_json:
        print_json({"batch": found.batch, "read": found.read, "total": found.total, "by_rule": dict(found.by_rule),
                    "rows": found.lines})  # fmt: skip
        return
    kinds = "; ".join(f"{count:,} by {rule}" for rule, count in found.by_rule.items())
    say(f"batch {found.batch}: {found.total:,} of {found.read:,} rows set aside" + (f" ({kinds})" if kinds else ""))
    if found.lines:
        key = definition.pipeline.key
        print_table(
            "",
            ["source or key", "line", "column", "value", "reason"],
            [[escape(_place(line, key)), line["line"], *(escape(line[k] or "") for k in ("column_name", "value", "reason"))]
             for line in found.lines],
            numbers=["line"],
        )  # fmt: skip


def _place(line: Mapping[str, Any], key: Sequence[str]) -> str:
    """Where a row stood in its source; of one that a rule caught later, its key."""
    return line["source"] or ", ".join(map(str, read_key(line["row_text"], key).values()))


def replay(name: Name, night: Night, as_json: Json = False) -> None:
    """Take a night again after its source or its contract was mended: a new batch, in which the counts add up again.

    Example: overnight replay flights 2013-02-01
    """
    from tasks.rejects import replay as take_again
    from tasks.runners import runner_for

    definition, interval = _named(name, night)
    settings = load_settings()
    report = take_again(definition, interval, settings, call=runner_for(definition.pipeline, settings))
    print_json(report.to_json()) if as_json else print_night(definition, report)
    raise typer.Exit(report.exit_code)


def hold(name: Name, night: Night, why: Why, as_json: Json = False) -> None:
    """Keep a night from being published until it is released; what readers see of it stays, marked as held.

    Example: overnight hold flights 2013-02-01 --why "the airport reported a fault"
    """
    from tasks.holding import hold as speak
    from tasks.night import whoami
    from tasks.webhook import tell_webhook

    definition, interval = _named(name, night)
    said = speak(definition, interval, load_settings(), who=getpass.getuser(), why=why, holder=whoami())
    tell_webhook(definition, load_settings(), now=datetime.now(UTC))
    _tell(definition, said, as_json=as_json, then=f"overnight release {name} {night} --why …")


def release(name: Name, night: Night, why: Why, as_json: Json = False) -> None:
    """Let a held night be published by its next run, with the rows that landed.

    Example: overnight release flights 2013-02-01 --why "the airport confirmed the figures"
    """
    from tasks.holding import release as speak
    from tasks.night import whoami

    definition, interval = _named(name, night)
    said = speak(definition, interval, load_settings(), who=getpass.getuser(), why=why, holder=whoami())
    _tell(definition, said, as_json=as_json, then=f"overnight run {name} --interval {night}")


def revalidate(
    name: Name,
    start: Annotated[str, typer.Option("--from", help="The first night.")],
    end: Annotated[str, typer.Option("--to", help="The last night, included.")],
    as_json: Json = False,
) -> None:
    """Judge what is published by today's expectations: each night gets a new verdict, and nothing is unpublished.

    Example: overnight revalidate flights --from 2013-01-01 --to 2013-01-31
    """
    from tasks.holding import revalidate as judge_again
    from tasks.night import whoami
    from tasks.webhook import tell_webhook

    definition = prepared(name)
    first, last = choose_interval(definition, start), choose_interval(definition, end)
    if first > last:
        raise UsageError(f"--from {start} lies after --to {end}", hint="overnight revalidate --help")
    for said in judge_again(
        definition, load_settings(), first=first, last=last, who=getpass.getuser(), holder=whoami()
    ):  # fmt: skip
        _tell(definition, said, as_json=as_json)
    tell_webhook(definition, load_settings(), now=datetime.now(UTC))


def suggest(
    name: Name, nights: Annotated[int, typer.Option(min=2, help="How many published nights to learn from.")] = 28
) -> None:
    """Propose expectations from what was published, as lines for expectations.yaml with what each was derived from.

    Example: overnight suggest flights >> deployments/flights/expectations.yaml
    """
    from tasks.suggest import suggest as propose

    text = propose(prepared(name), load_settings(), nights=nights)
    if not text:
        raise UsageError("nothing was published yet that could be learned from", where=name, hint=f"overnight run {name}")
    print(text, end="")


def _tell(definition: Definition, said: Any, *, as_json: bool, then: str = "") -> None:
    label = definition.pipeline.calendar.label(said.interval)
    if as_json:
        print_json({"pipeline": definition.pipeline.name, "interval": label, "batch": said.batch, "before": said.before,
                    "after": said.after, "published": said.published})  # fmt: skip
        return
    before = f" (before: {said.before})" if said.before and said.before not in said.after else ""
    say(f"{definition.pipeline.name} {label}: {said.after}{before}")
    say("readers see this night" if said.published else "readers see nothing of this night")
    if then:
        say_next(then)
