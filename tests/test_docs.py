"""Prose is tested: what the docs tell people to type exists, and what exists is in the docs."""

import re
from pathlib import Path
from typing import Any

import pytest
from click import Group
from typer.main import get_command

from cli.main import app
from infra.settings import Settings

DOCS = [Path("README.md"), Path("CHANGELOG.md"), Path("examples/README.md"), *sorted(Path("docs").rglob("*.md"))]
COMMANDS = get_command(app)


def _commands() -> set[str]:
    names = set()
    for name, command in COMMANDS.commands.items():  # type: ignore[attr-defined]
        names.add(name)
        if isinstance(command, Group) or hasattr(command, "commands"):
            names |= {f"{name} {below}" for below in command.commands}
    return names


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    typed = re.findall(r"(?:`|\$ |bin/|\")overnight ((?:db |image )?[a-z]+)", page.read_text())
    assert set(typed) <= _commands(), f"{page} names a command that does not exist"


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_every_option_that_a_page_types_exists(page: Path) -> None:
    """Within one line of code: from the command to the end of what the shell would hand it."""
    for words in re.findall(r"(?:`|\$ |bin/|^)overnight ((?:db |image )?[a-z]+[^`\n#|;&]*)", page.read_text(), re.MULTILINE):
        command: Any = COMMANDS
        for word in words.split():
            command = getattr(command, "commands", {}).get(word, command)
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
        assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", words)) <= known, f"{page}: overnight {words}"


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:bench|tests|tasks|infra|store|domain|flows|web|cli|examples)/[\w./]+\.\w+)`", page.read_text())
    assert [name for name in named if not Path(name).exists()] == []


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page} links to {target}"


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", Path("README.md").read_text())) <= targets | {"and"}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_a_line_in_the_reference(name: str) -> None:
    reference = Path("docs/reference/settings.md").read_text()
    assert f"`OVERNIGHT_{name.upper()}`" in reference
    assert Settings.model_fields[name].description in reference, "the reference says something else than the code"


def test_every_decision_is_dated_and_numbered_once() -> None:
    pages = sorted(Path("docs/decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert re.search(r"\d{4}-\d{2}-\d{2}", page.read_text()), f"{page} has no date"
