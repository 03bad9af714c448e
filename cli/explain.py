"""`overnight explain`: a pipeline in plain sentences."""

from datetime import UTC, datetime
from textwrap import fill

import typer
from rich.markup import escape

from cli.nights import Json, Name, prepared
from cli.show import out, print_json
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(name: Name, as_json: Json = False) -> None:
    """Say in plain sentences what a pipeline reads, checks, learns and shows, and what it does tonight.

    Example: overnight explain flights
    """
    from tasks.explain import explain as explain_it

    definition = prepared(name)
    chapters = explain_it(definition, load_settings(), now=datetime.now(UTC))
    if as_json:
        print_json({"pipeline": name, "title": definition.pipeline.title} | dict(chapters))
        return
    out.print(f"[bold]{name}[/]  {escape(definition.pipeline.title)}")
    for chapter, sentences in chapters:
        out.print(f"\n[bold]{chapter}[/]")
        text = fill(" ".join(sentences), width=min(out.width, 100) - 2, initial_indent="  ", subsequent_indent="  ")
        out.print(escape(text), highlight=False)
