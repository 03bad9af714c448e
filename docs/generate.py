"""The pages that the code can write itself: commands, keys of pipeline.yaml, tables of the ledger, measured figures.

`make docs` writes them; a test says when what is committed is not what the code says.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import time, timedelta
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bench.page import pages as figures
from cli.main import app
from deployments.schema import pipeline_schema
from domain.pipeline import Pipeline
from store.schema import metadata

HERE = Path(__file__).parent
STEPS = HERE.parent / "store" / "migrations" / "versions"
_NOTE = "<!-- Written by `make docs` from the code: change the code, not this page. -->\n\n"
_SECTIONS = {  # what a section is for, where the model itself says nothing
    "name": "letters, digits and _; the folder is called the same",
    "title": "the question, as readers see it",
    "owner": "whom to ask",
    "interval": "which nights there are",
    "source": "where a night's rows come from",
    "columns": "the contract: a section for each column, by its name",
    "rejects": "how many rows may be set aside",
    "target": "what is predicted",
    "features": "what the model may see",
    "model": "how it is learned, judged and promoted",
    "publish": "when readers expect it, and what keeps it back",
    "tell": "who is told by machine",
    "catch_up": "which missed nights the schedule takes by itself",
    "keep": "how long rows are kept that nobody sees",
    "runner": "where stages run",
    "features.numeric": "columns of numbers",
    "features.categorical": "columns of names",
    "features.datetime": "dates and moments; the model sees their parts",
    "model.retrain": "how often a new version is trained",
    "model.metric": "what decides; none named: roc_auc, or rmse for a number",
    "model.promote": "what a challenger must reach",
    "publish.hold_if": "limits against the last published night",
    "runner.limits": "what one stage's container may use",
}
_TABLES = {
    "pipeline": "what is declared, as it was when it was last seen",
    "run": "one line for each time that a night was taken",
    "stage_run": "one line for each stage of a run",
    "model": "every model version, with its bytes and their hash",
    "batch": "one line for each batch: input or prediction, loaded, sealed or dropped",
    "verdict": "what validation said of a batch",
    "alias_move": "the promotion journal: who made which version champion, from which night on, and why",
    "publication": "every move of a pointer",
    "pointer": "where each pointer stands now",
    "quality": "realised quality, restated and never overwritten",
    "estimate": "estimated quality, until answers come",
    "profile": "what a model learned from, for drift",
    "figures": "a night's own figures, which later nights are compared with",
    "drift": "how far a night's rows are from what the model learned from",
    "pruning": "tombstones of rows that were dropped",
    "action": "what people did by hand",
    "waived": "nights that somebody has decided to leave out, and why",
    "delivery": "every attempt to tell a webhook",
}


def pages() -> dict[Path, str]:
    """The text of each page that the code writes."""
    made = {"commands": _commands(), "pipeline-yaml": _keys(), "ledger": _ledger()}
    return {
        HERE / "reference" / f"{name}.md": _NOTE + "\n".join(lines).rstrip() + "\n" for name, lines in made.items()
    } | figures()


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
        for row in rows:
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        yield ""


# Commands ------------------------------------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield from (
        "# Commands",
        "",
        "`overnight COMMAND --help` says the same. Exit codes: 0 published or nothing to do, 1 failed, 2 wrong usage or",
        "definition, 3 held, 4 refused, 5 source missing or unreadable. `--json` prints one object a line.",
        "",
    )
    for path, command in _walk(typer.main.get_command(app), ("overnight",)):
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        yield f"## {' '.join(path[1:])}"
        yield ""
        yield from ("```", " ".join([*path, *(_metavar(one) for one in arguments), "[options]"]), "```", "")
        yield from _help(command.help or "")
        yield from _table(("argument", "meaning"), [(f"`{_metavar(one)}`", getattr(one, "help", "") or "") for one in arguments])
        yield from _table(("option", "meaning"), [_option(one) for one in command.params if one.param_type_name == "option"])


def _walk(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from _walk(command, (*path, name))
        elif not command.hidden:
            yield (*path, name), command


def _metavar(argument: Any) -> str:
    return str(argument.name).upper() if argument.required else f"[{str(argument.name).upper()}]"


def _help(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        line = " ".join(paragraph.split())
        if line.startswith("Example: "):
            yield from ("```console", f"$ {line.removeprefix('Example: ')}", "```", "")
        else:
            yield from (line, "")


def _option(option: Any) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    default = option.default if isinstance(option.default, str | int | float) and not isinstance(option.default, bool) else None
    usual = "" if default in (None, "") else f" Default: `{default}`."
    return names + (" (needed)" if option.required else ""), f"{option.help or ''}{usual}"


# Keys of pipeline.yaml -------------------------------------------------------------------------------------------------------


def _keys() -> Iterator[str]:
    yield from (
        "# pipeline.yaml",
        "",
        "Every key, with what may stand there and what it is when it does not. A key that is not here is refused, with its",
        "line and the nearest known one. `overnight schema` writes the same for editors; what the keys of `source` and `columns`",
        "do at night stands in [sources and contracts](sources.md), and `expectations.yaml`",
        "has [a page of its own](expectations.md).",
        "",
    )
    definitions = pipeline_schema()
    yield from _table(("key", "may be", "default", "meaning"), list(_rows(Pipeline, definitions, "")))
    for name, model in _below(Pipeline):
        yield f"## {name}"
        yield ""
        if model.__doc__ and model.__doc__ != BaseModel.__doc__:
            yield from (" ".join(model.__doc__.split()), "")
        here = definitions["$defs"][model.__name__]
        rows = list(_rows(model, {**here, "$defs": definitions["$defs"]}, name))
        yield from _table(("key", "may be", "default", "meaning"), rows)


def _below(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        kind = next(_models(field.annotation), None)
        if kind is not None:
            place = f"{path}{field.alias or name}"
            yield place, kind
            yield from _below(kind, f"{place}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _rows(model: type[BaseModel], schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        said = _SECTIONS.get(f"{path}.{key}" if path else key, "")
        yield f"`{key}`", _may_be(schema["properties"][key], schema["$defs"]), _default(field), field.description or said


def _may_be(said: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The JSON Schema of one key in words."""
    if "$ref" in said:
        name = said["$ref"].rpartition("/")[2]
        known = definitions.get(name, {})
        return _may_be(known, definitions) if "enum" in known else "a section"
    if "enum" in said:
        return ", ".join(f"`{one}`" for one in said["enum"])
    if "const" in said:
        return f"`{said['const']}`"
    if "anyOf" in said:
        return " or ".join(dict.fromkeys(_may_be(one, definitions) for one in said["anyOf"] if one.get("type") != "null"))
    if said.get("type") == "array":
        return "a list"
    words = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "`true`, `false`"}
    return words.get(str(said.get("type")), "a section")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = field.default
    if default is PydanticUndefined or isinstance(default, BaseModel) or default in (None, "", ()):
        return ""
    if isinstance(default, timedelta):
        return f"`{default.days} days`" if default.days else f"`{int(default.total_seconds() // 3600)}h`"
    if isinstance(default, time):
        return f"`{default:%H:%M}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{', '.join(map(repr, default)) if isinstance(default, tuple) else default}`"


# The ledger ------------------------------------------------------------------------------------------------------------------


def _ledger() -> Iterator[str]:
    yield from (
        "# The ledger",
        "",
        "What is remembered, in the schema `overnight` of Postgres. Stages add lines to it and change next to none; readers",
        "see the views of the schema `reading`, and each pipeline's rows in a schema of its name",
        "([reading predictions](../how-to/read-predictions.md)). `overnight db url` prints where it is.",
        "",
        "## Views for readers",
        "",
    )
    found = _views()
    yield from _table(("view", "what it shows"), [(f"`reading.{name}`", said) for name, said in sorted(found.items())])
    yield from ("Of each pipeline, in the schema `<pipeline>`:", "")
    yield from _table(
        ("view", "what it shows"),
        [
            ("`latest`", "the predictions of the newest published night, with their trust line in each row"),
            ("`published`", "those of every night"),
            ("`rejected`", "the rows that were set aside, with file, line, rule and a sentence"),
            ("`as_of(moment)`", "what readers saw at that moment"),
            ("`pruned`", "what was dropped, when and why"),
        ],
    )
    notes = _notes()
    for name, table in sorted((one.name, one) for one in metadata.tables.values()):
        yield from (f"## {name}", "", *([_sentence(_TABLES[name]), ""] if name in _TABLES else []))
        rows = [(f"`{one.name}`", str(one.type).lower(), notes.get((name, one.name), "")) for one in table.columns]
        yield from _table(("column", "type", "meaning"), rows)


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."


def _steps() -> Iterator[str]:
    """The migrations that lead here, oldest first."""
    for path in sorted(STEPS.glob("[0-9]*.sql")):
        if not path.stem.endswith("_down"):
            yield path.read_text(encoding="utf-8")


def _views() -> dict[str, str]:
    """Each view of `reading`, with the comment above it or the sentence of the table of its name."""
    found: dict[str, str] = {}
    for text in _steps():
        for match in re.finditer(r"((?:^--.*\n)*)^CREATE (?:OR REPLACE )?VIEW reading\.(\w+)", text, re.MULTILINE):
            above = " ".join(line.strip("- ") for line in match[1].splitlines())
            said = _TABLES.get(match[2]) or (above[:1].lower() + above[1:]).rstrip(".")
            found[match[2]] = said or found.get(match[2], "")
    return found


def _notes() -> dict[tuple[str, str], str]:
    """What the migrations say beside a column."""
    found = {}
    for text in _steps():
        for table in re.finditer(r"^CREATE TABLE overnight\.(\w+) \((.*?)^\);", text, re.MULTILINE | re.DOTALL):
            for line in re.finditer(r"^    (\w+) +[^\n]*?-- (.+)$", table[2], re.MULTILINE):
                found[table[1], line[1]] = line[2].strip()
    return found


def main() -> None:
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
