"""`db backup` and `db restore`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.nights import Json, waiting
from cli.show import print_json, say
from domain.errors import EXIT_FAILED, UsageError
from domain.pruning import size_words
from infra.settings import load_settings

File = Annotated[Path, typer.Argument(help="The backup; its manifest is beside it, as PATH.json.")]


def add_commands(database: typer.Typer) -> None:
    database.command("backup")(backup)
    database.command("restore")(restore)


def backup(
    path: File,
    verify: Annotated[bool, typer.Option("--verify", help="Restore it into a scratch database, and compare every hash.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write one moment of the database into a file; nights go on meanwhile.

    Example: overnight db backup overnight.dump --verify
    """
    from tasks import backup as tasks

    if path.exists() and not yes:
        raise UsageError(f"{path} is there already", hint="another name, or --yes to replace it")
    settings = load_settings()
    with waiting(f"backing up to {path}"):
        made = tasks.back_up(settings, path, now=datetime.now(UTC))
    held = made.summary()
    if not as_json:
        names = ", ".join(held["pipelines"]) or "no pipeline"
        seen = f"{held['published']:,} of them published"
        say(f"{size_words(made.bytes)} in {path}: {held['batches']:,} batches of {names}, {seen}, {held['runs']:,} runs")
    differences = _verified(settings, made) if verify else None
    _end(held, differences, as_json=as_json, then=f"overnight db restore {path} --verify")


def restore(
    path: File,
    replace: Annotated[bool, typer.Option("--replace", help="Drop what the database holds first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only say what would be done.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Into a scratch database, to compare; changes nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Put a backup into an empty database, and compare every content hash with its manifest.

    Example: overnight db restore overnight.dump --yes
    """
    from tasks import backup as tasks

    settings, found = load_settings(), tasks.read_backup(path)
    held = found.summary()
    if verify:
        _end(held, _verified(settings, found), as_json=as_json, then=f"overnight db restore {path} --yes")
        return
    if not as_json:
        made = datetime.fromisoformat(found.at).astimezone(UTC)
        names = ", ".join(held["pipelines"]) or "no pipeline"
        say(f"{path} is of {made:%Y-%m-%d %H:%M} UTC: {held['batches']:,} batches of {names}")
    if not yes:
        if as_json:
            print_json({**held, "done": False})
        say(f"nothing was changed; to do it: overnight db restore {path}{' --replace' if replace else ''} --yes")
        return
    with waiting(f"restoring {path}"):
        differences = tasks.restore(settings, found, replace=replace)
    _end({**held, "done": True}, differences, as_json=as_json, then="overnight status")


def _verified(settings: Any, found: Any) -> list[str]:
    from tasks.backup import verify

    with waiting("restoring into a scratch database"):
        return verify(settings, found)


def _end(held: dict[str, Any], differences: list[str] | None, *, as_json: bool, then: str) -> None:
    if as_json:
        print_json({**held, "verified": None if differences is None else not differences, "differences": differences or []})
    elif differences is not None:
        for said in differences[:20]:
            say(said)
        say(f"{len(differences)} differences" if differences else f"restored, and all {held['batches']:,} content hashes agree")
    if differences:
        raise typer.Exit(EXIT_FAILED)
    if not as_json:
        say(f"next: {then}")
