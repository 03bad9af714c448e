"""`token`: who may read over the web from other machines."""

import getpass
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape

from cli.nights import Json
from cli.show import print_json, print_table, say
from domain.errors import UsageError
from infra.settings import load_settings

token = typer.Typer(help="Tokens, by which other machines and people read over the web.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    app.add_typer(token, name="token")


@token.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whom or what it is for.")],
    pipelines: Annotated[str | None, typer.Option(help="What it may read, commas between; none: everything.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends, such as 90d or 12h; none: when it is revoked.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown this once: only its hash is kept.

    Example: overnight token new "the wall display" --pipelines flights --expires 90d
    """
    from store.engine import transaction
    from store.tokens import issue_token
    from tasks.prepare import owner_engine, prepare

    if not name.strip():
        raise UsageError("a token needs a name", where="token", hint="overnight token new --help")
    ends = datetime.now(UTC) + read_span(expires) if expires else None
    names = [part.strip() for part in pipelines.split(",") if part.strip()] if pipelines is not None else None
    if names == []:
        raise UsageError("--pipelines names none", where="token", hint="overnight token new --help")
    settings = load_settings()
    prepare(settings)
    engine = owner_engine(settings)
    with transaction(engine) as connection:
        number, secret = issue_token(connection, name.strip(), pipelines=names, expires_at=ends, who=getpass.getuser())
    engine.dispose()
    if as_json:
        print_json({"token": number, "name": name.strip(), "secret": secret, "pipelines": names, "expires_at": ends})
        return
    print(secret)
    say(f"token {number} reads {', '.join(names or ['everything'])}; keep it now, it is not shown again; "
        f"to end it: overnight token revoke {number}")  # fmt: skip


@token.command("list")
def show(as_json: Json = False) -> None:
    """Every token there ever was, and whether it still opens anything."""
    from store.engine import transaction
    from store.tokens import list_tokens
    from tasks.prepare import owner_engine, prepare

    settings, now = load_settings(), datetime.now(UTC)
    prepare(settings)
    engine = owner_engine(settings)
    with transaction(engine) as connection:
        found = list_tokens(connection)
    engine.dispose()
    if as_json:
        for one in found:
            print_json({**{name: getattr(one, name) for name in one.__slots__}, "state": one.state(now)})
        return
    rows = [
        (one.id, escape(one.name), ", ".join(one.pipelines or ["everything"]), one.state(now),
         one.expires_at.date() if one.expires_at else "", escape(one.who))
        for one in found
    ]  # fmt: skip
    print_table("tokens", ["token", "name", "reads", "", "until", "made by"], rows, numbers=["token"])


@token.command("revoke")
def revoke(number: Annotated[int, typer.Argument(min=1, help="The number, as overnight token list shows it.")]) -> None:
    """End a token at once: open streams of it end too."""
    from store.engine import transaction
    from store.tokens import revoke_token
    from tasks.prepare import owner_engine, prepare

    settings = load_settings()
    prepare(settings)
    engine = owner_engine(settings)
    with transaction(engine) as connection:
        name = revoke_token(connection, number)
    engine.dispose()
    say(f"token {number} ({name}) lets nobody in any more; next: overnight token list")


def read_span(text: str) -> timedelta:
    """`90d`, `12h` or `2w`, at most a century."""
    found = re.fullmatch(r"([1-9]\d{0,5})([hdw])", text.strip(), re.ASCII)
    span = timedelta(hours=int(found[1]) * {"h": 1, "d": 24, "w": 168}[found[2]]) if found else None
    if span is None or span > timedelta(days=36500):
        raise UsageError(f"--expires {text!r} is no span of time; write it as 90d or 12h", where="token")
    return span
