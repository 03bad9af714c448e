"""Writes a proposal as the two files of a pipeline's folder: all of it, or nothing."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from deployments.catalogue import load_definition
from domain.errors import UsageError
from tasks.onboarding.propose import Proposal
from tasks.onboarding.roles import Role
from tasks.onboarding.table import Seen
from tasks.onboarding.yaml import beside, commented, flow, long_list, scalar

_SCHEMAS = {file: f"{file.removesuffix('.yaml')}.schema.json" for file in ("pipeline.yaml", "expectations.yaml")}


def write_pipeline(proposal: Proposal, folder: Path, *, timezone: str, force: bool, code: str = "") -> Path:
    """Returns the folder; `code` is the text of features.py, if there is one. Raises UsageError when there is one of that "
    "name already, and DefinitionError when what would be
    written could not be read; either way nothing is written."""
    name = proposal.asked.name
    target = folder / name
    if target.exists() and not force and any(target.iterdir()):
        raise UsageError(
            f"{target} is there already", hint=f"another name, or overnight {_by(proposal)} {name} … --force to write it anew"
        )
    texts = {
        "expectations.yaml": render_expectations(proposal),
        "pipeline.yaml": render_pipeline(proposal, timezone=timezone),
    }
    texts = {file: _for_editors(folder, file) + text for file, text in texts.items()}
    texts = {**({"features.py": code} if code else {}), **texts}
    with tempfile.TemporaryDirectory(prefix="overnight-new-") as scratch:
        _write(Path(scratch) / name, texts)
        load_definition(Path(scratch), name)
    is_new = not target.exists()
    try:
        _write(target, texts)
    except OSError as error:
        if is_new:
            shutil.rmtree(target, ignore_errors=True)
        raise UsageError(
            f"{target} cannot be written ({error.strerror})", hint="OVERNIGHT_DEPLOYMENTS=… names another folder"
        ) from None
    return target


def _by(proposal: Proposal) -> str:
    return "adopt" if proposal.origin else "new"


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    """pipeline.yaml comes last and whole: with it the folder becomes a pipeline."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        half = folder / f".{file}.new"
        half.write_text(text, encoding="utf-8")
        half.replace(folder / file)


def _for_editors(folder: Path, file: str) -> str:
    """The line by which editors complete and check the file, where the folder of pipelines holds its schema."""
    schema = _SCHEMAS[file]
    return f"# yaml-language-server: $schema=../{schema}\n" if (folder / schema).is_file() else ""


def render_pipeline(proposal: Proposal, *, timezone: str) -> str:
    """The text of pipeline.yaml."""
    first = (
        f"Adopted by `overnight adopt` from {proposal.origin}, which reads"
        if proposal.origin
        else "Proposed by `overnight new` from"
    )
    lines = commented(
        f"{first} {proposal.place.said}, {proposal.table.rows:,} rows. It is yours now: change what you know better."
    )
    lines += [
        f"name: {proposal.asked.name}",
        f"title: {scalar(_title(proposal))}",
        *_when(proposal, timezone),
        *_source(proposal),
        "",
    ]
    lines += ["columns:", *_columns(proposal), "new_columns: ignore", "rejects: {at_most: 2%}", ""]
    lines += [f"target: {flow(proposal.goal.to_yaml())}", "features:", *_features(proposal), "", *_model(proposal), ""]
    lines += ['publish: {deadline: "07:00", hold_if: {rows_change: 50%}}', "catch_up: latest"]
    return "\n".join(lines) + "\n"


def _title(proposal: Proposal) -> str:
    goal = proposal.goal
    if goal.asked:
        return f"{goal.rule}?"
    if goal.kind == "yes or no":
        return f"Is {goal.column.spelled} {goal.yes}?" if goal.column.type != "bool" else f"{goal.column.spelled}: yes or no?"
    return f"Which {goal.column.spelled} is it?" if goal.kind == "classes" else f"What will {goal.column.spelled} be?"


def _when(proposal: Proposal, timezone: str) -> list[str]:
    first, last = proposal.days
    every = {"every": "day", "timezone": timezone}
    interval = ", ".join(f"{key}: {scalar(value)}" for key, value in every.items()) + f", from: {first}"
    if proposal.mode == "snapshot":
        return [beside(f"interval: {{{interval}}}", "the first night is the one before today"),
                beside('schedule: "0 2 * * *"', "every night at two; without this line only by hand")]  # fmt: skip
    until = f", until: {last + timedelta(days=1)}"
    return [*commented(f"There are rows from {first} to {last}. Take `until` away when new nights come, and give it a schedule."),
            f"interval: {{{interval}{until}}}", "schedule: null"]  # fmt: skip


def _source(proposal: Proposal) -> list[str]:
    said = {**proposal.place.to_source(proposal.mode), **proposal.table.source}
    if proposal.place.kind != "sql":
        said["kind"] = proposal.table.look.kind
    if proposal.mode == "interval" and proposal.place.kind == "sql" and proposal.time is not None:
        column = '"' + proposal.time.spelled.replace('"', '""') + '"'
        said["query"] = f"SELECT * FROM ({proposal.place.query}) AS everything WHERE {column} >= :start AND {column} < :end"
    note = "the whole table, every night" if proposal.mode == "snapshot" else ""
    line = f"source: {flow(said)}"
    if len(line) <= 110:
        return [beside(line, note)]
    return [beside("source:", note), *(f"  {key}: {flow(value)}" for key, value in said.items())]


def _columns(proposal: Proposal) -> Iterator[str]:
    if proposal.line_key:
        if len(proposal.table.look.parts) > 1 and proposal.mode == "snapshot":
            yield beside(
                '  source_file: {type: text, key: true, from: "{file}"}', "a row is named by its file and its line there"
            )
            yield '  source_line: {type: int, key: true, from: "{line}"}'
        else:
            yield beside(
                '  source_line: {type: int, key: true, from: "{line}"}', "no column names a row, so its line in the source does"
            )
    for column in proposal.table.columns:
        role = proposal.roles[column.name]
        if role.flag == "untyped":
            continue
        yield beside(f"  {column.name}: {flow(_contract(proposal, column))}", _beside_column(proposal, column, role))


def _contract(proposal: Proposal, column: Seen) -> dict[str, Any]:
    said = dict(column.kind.contract)
    null, nulls, form = said.pop("null", False), said.pop("nulls", None), said.pop("format", None)
    key = column.name in proposal.key.columns
    found = {"type": said.pop("type"), **({"key": True} if key else {}), **({"time": True} if column is proposal.time else {})}
    found |= {"null": True} if null and not key else {}
    found |= {"format": form} if form else {}
    found |= said
    found |= {"nulls": [_as_number(mark) for mark in nulls]} if nulls else {}
    return found | _from(proposal, column)


def _as_number(mark: str) -> Any:
    """-999 is written as a number where it reads back as the same text."""
    return int(mark) if mark.lstrip("-").isdigit() and str(int(mark)) == mark else mark


def _from(proposal: Proposal, column: Seen) -> dict[str, Any]:
    names = proposal.table.look.names
    if column.name == column.spelled or proposal.table.source.get("header") is False:
        return {}
    alike = sum(name == column.spelled for name in names)
    return {"from": column.place if alike > 1 or not column.spelled else column.spelled}


def _beside_column(proposal: Proposal, column: Seen, role: Role) -> str:
    if role.flag == "leak":
        return f"LEAK? {role.why}"
    if role.use == "unused":
        return f"no feature: {role.why}"
    kept = next((leak.why for leak in proposal.leaks if leak.column == column.name and not leak.out), "")
    return kept or "; ".join(column.kind.notes)


def _features(proposal: Proposal) -> Iterator[str]:
    for kind, names in proposal.features.items():
        yield from long_list(kind, names)
    if proposal.hook:
        yield beside(f"  hook: {proposal.hook}", "what is made of the columns above")
    if proposal.confirmed:
        yield from commented(
            "Each of these tells the answer almost alone. Take out of the lists above what is known only afterwards.", indent="  "
        )
        yield from long_list("confirmed", proposal.confirmed)


def _model(proposal: Proposal) -> Iterator[str]:
    yield beside("model:", f"suited to {proposal.goal.known:,} rows with an answer" if not proposal.origin else "")
    for key, value in proposal.model.items():
        yield f"  {key}: {flow(value)}"


def render_expectations(proposal: Proposal) -> str:
    """The text of expectations.yaml."""
    lines = commented(
        f"What a night of {proposal.asked.name} must look like, proposed by `overnight {_by(proposal)}` from "
        f"{proposal.table.rows:,} rows. "
        "The lines are yours: change or delete what you know better. A comment says what was seen."
    )
    lines += commented(
        "Lines about single values set failing rows aside; lines about the whole night (rows, means, shares) hold it, "
        "so that readers keep the last good one. `severity: warning` only tells."
    )
    for group in proposal.suite:
        lines += ["", *commented(f"{group.column}: {group.seen}" if group.column else f"Seen: {group.seen}")]
        lines += [f"- {flow(line)}" for line in group.lines]
    return "\n".join(lines) + "\n"
