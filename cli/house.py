"""Commands about the house itself: `demo`, `up`, `web`, `db`, `doctor`."""

import subprocess
import sys
from datetime import UTC, datetime
from time import monotonic
from typing import Annotated

import typer

from cli import backup
from cli.nights import Json
from cli.show import out, print_json, print_table, say, saying_news
from domain.errors import EXIT_DONE, EXIT_FAILED
from infra.settings import Settings, load_settings

database = typer.Typer(help="The database: migrate it, find it, stop the embedded one.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    app.command("demo")(demo)
    app.command("up")(up)
    app.command("web")(web)
    app.command("doctor")(doctor)
    backup.add_commands(database)
    app.add_typer(database, name="db")


def demo() -> None:
    """35 nights of real flights: ingested, validated, trained, scored and published, through Prefect, in a few minutes.

    Example: overnight demo
    """
    from cli.demo import show_demo

    raise typer.Exit(show_demo(load_settings()))


def up() -> None:
    """Postgres, Prefect's server with its schedules, a worker and the web, until Ctrl-C; a pipeline that is wrong stops no other.

    Example: overnight up
    """
    from deployments.prefect_yaml import render_prefect_yaml
    from infra.services import run_services
    from tasks.prepare import prepare_house
    from tasks.watch import watch

    settings, say_news = load_settings(), saying_news()

    def tidy() -> None:
        say_news(watch(settings, f"http://127.0.0.1:{settings.prefect_port}/api", now=datetime.now(UTC)))

    house = prepare_house(settings)
    for sentence in house.describe(*house.faults):
        say(sentence)
    with run_services(
        settings,
        say=say,
        prefect_yaml=render_prefect_yaml(house.pipelines),
        web_command=web_command(settings),
        before_worker=tidy,
    ) as services:
        out.print(f"\n  [bold]Morning page[/]   http://127.0.0.1:{settings.web_port}")
        out.print(f"  [bold]Prefect[/]        {services.prefect_url.removesuffix('/api')}")
        out.print(f"  [bold]Pipelines[/]      {house.names}\n\nCtrl-C stops everything.", highlight=False)
        services.keep_running(watch=tidy)


def web_command(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "web", "--port", str(settings.web_port)]


def web(
    port: Annotated[int | None, typer.Option(help="The port; none: OVERNIGHT_WEB_PORT, or 8500.")] = None,
    host: Annotated[str, typer.Option(help="The address. On any other than loopback it asks for tokens.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Processes that answer; one that dies is replaced.", min=1, max=64)] = 1,
) -> None:
    """The web alone: pages and API, read only. It needs neither Prefect nor a worker.

    Example: overnight web --port 8500
    """
    from tasks.prepare import prepare

    settings = load_settings()
    prepare(settings)
    command = [*web_command(settings), "--host", host, "--workers", str(workers), *(["--port", str(port)] if port else [])]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@database.command("migrate")
def migrate_database() -> None:
    """Bring the database to this version's schema; makes the embedded one the first time."""
    from infra.postgres import ensure_database
    from store.migrate import migrate
    from store.roles import set_stage_passwords

    url = ensure_database(load_settings())
    before, after = migrate(url)
    set_stage_passwords(url)
    say(f"the schema is at {after}" + ("" if before == after else f", before {before or 'empty'}") + "; next: overnight status")


@database.command("url")
def database_address(
    role: Annotated[str, typer.Option(help="admin, writer or reader.")] = "reader",
) -> None:
    """Print the address of the database, for psql and every other reader."""
    from domain.errors import UsageError
    from infra.postgres import database_url

    if role not in ("admin", "writer", "reader"):
        raise UsageError(f"{role!r} is no role", hint="overnight db url --role reader")
    print(database_url(load_settings(), role=role))  # type: ignore[arg-type]  # checked in the line before


@database.command("stop")
def stop_database() -> None:
    """Stop the embedded Postgres; the next command starts it again."""
    from infra.postgres import stop_server

    stopped = stop_server(load_settings().postgres_folder)
    say("stopped the embedded Postgres" if stopped else "the embedded Postgres was not running")


def doctor(as_json: Json = False) -> None:
    """Check settings, database, Prefect, Docker, versions and disk; each finding with its fix.

    Example: overnight doctor
    """
    from cli.checkup import examine

    began = monotonic()
    findings = examine()
    if as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        print_table(
            f"{len(findings)} checks in {monotonic() - began:.1f} s",
            ["", "what", "found", "fix"],
            [("[green]ok[/]" if f.ok else "[yellow]look[/]", f.what, f.found, "" if f.ok else f.fix) for f in findings],
        )
    raise typer.Exit(EXIT_DONE if all(finding.ok or finding.optional for finding in findings) else EXIT_FAILED)
