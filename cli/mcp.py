"""`overnight mcp`: predictions with their trust lines for language models. The server itself is the web's."""

import importlib.util
import os
import sys
from typing import Annotated

import typer

from domain.errors import UsageError
from infra.settings import load_settings


def add_commands(app: typer.Typer) -> None:
    app.command("mcp")(mcp)


def mcp(
    pipelines: Annotated[str | None, typer.Option(help="What may be asked for, commas between; none: everything.")] = None,
) -> None:
    """Answer a language model over stdin and stdout (Model Context Protocol), each number with its trust line. It only reads.

    Example: overnight mcp --pipelines flights
    """
    if importlib.util.find_spec("mcp") is None:
        raise UsageError("the package mcp is not installed", where="mcp", hint="pip install 'overnight[mcp]'")
    if pipelines is not None and not pipelines.replace(",", "").strip():
        raise UsageError("--pipelines names none", where="mcp", hint="overnight mcp --help")
    settings = load_settings()
    if settings.reader_url is None:  # whoever has the reader's address alone needs no other right
        from tasks.prepare import prepare

        prepare(settings)
    command = [sys.executable, "-m", "web.mcp", *(["--pipelines", pipelines] if pipelines else [])]
    os.execv(sys.executable, command)  # noqa: S606  # so that who ends the command ends the server
