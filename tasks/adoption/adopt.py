"""`overnight adopt`: a notebook and its table become a proposal, with sentences about what came along and what did not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from domain.errors import OvernightError, SourceError, UsageError
from domain.interval import Interval
from tasks.adoption import reads
from tasks.adoption.cells import Script, read_script
from tasks.adoption.factory import Model
from tasks.adoption.features import write_features
from tasks.adoption.finding import Carried, Finding, carry, conclude
from tasks.adoption.questions import resolve_answer
from tasks.adoption.values import Answer, Column, Frame, Read, Said
from tasks.adoption.walk import Walk
from tasks.onboarding.kinds import Kind, text_of
from tasks.onboarding.look import look_at_source
from tasks.onboarding.place import Place, find_place
from tasks.onboarding.propose import Asked, Proposal, propose
from tasks.onboarding.table import Seen, Table, read_table

_YES = {"yes", "y", "true", "t", "1"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said on the command line; `source` is empty where the notebook says it."""

    script: Path
    name: str
    source: str = ""
    table: str | None = None
    query: str | None = None
    target: str | None = None
    key: tuple[str, ...] = ()
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """`code` is the text of features.py, empty where none is needed."""

    proposal: Proposal
    code: str
    said: tuple[Said, ...]
    read: Read
    script: Script


class _Shelf:
    """The tables that the notebook reads, each looked at once."""

    def __init__(self, wish: Wish, *, data: Path, night: Interval) -> None:
        self.wish, self.data, self.night = wish, data, night
        self.found: dict[tuple[str, ...], tuple[Place, Table] | OvernightError] = {}

    def __call__(self, read: Read) -> dict[str, Column] | None:
        try:
            table = self.open(read)[1]
        except OvernightError:
            return None
        names = _names_in_notebook(read, table)
        return {name: _column(seen, read, table) for name, seen in zip(names, table.columns, strict=True)}

    def open(self, read: Read) -> tuple[Place, Table]:
        """Raises UsageError or SourceError, with the way out by --from."""
        key = (self.wish.source or read.path, read.url, read.query)
        if key not in self.found:
            try:
                self.found[key] = self._look(read)
            except OvernightError as error:
                self.found[key] = error
        found = self.found[key]
        if isinstance(found, OvernightError):
            raise found
        return found

    def _look(self, read: Read) -> tuple[Place, Table]:
        wish, query, table = self.wish, self.wish.query, self.wish.table
        said = wish.source
        if not said:
            what, helps = reads.why_not(read)
            if what:
                raise UsageError(f"{wish.script.name}, {read.place}: {what}", hint=f"overnight adopt {wish.script.name} {helps}")
            said = read.url or reads.resolve(read.path, beside=wish.script.absolute().parent)
            query = query or read.query or None
            if said.startswith("sqlite:///") and not Path(said.removeprefix("sqlite:///")).is_absolute():
                said = f"sqlite:///{reads.resolve(said.removeprefix('sqlite:///'), beside=wish.script.absolute().parent)}"
        try:
            place = find_place(said, name=wish.name, data=self.data, table=table, query=query)
            return place, read_table(look_at_source(place, data=self.data, interval=self.night))
        except SourceError as error:
            where = f"{wish.script.name}, {read.place}"
            raise SourceError(f"{where}: {error.what}", hint=f"overnight adopt {wish.script.name} --from WHERE_IT_IS") from None


def _names_in_notebook(read: Read, table: Table) -> list[str]:
    """The columns' names as pandas would have them."""
    given = reads.heading(read)
    if given is not None and len(given) == len(table.columns):
        return given
    if reads.without_header(read):
        return [str(number) for number in range(len(table.columns))]
    return [column.spelled for column in table.columns]


def _column(seen: Seen, read: Read, table: Table) -> Column:
    """How pandas would read it: what this house reads as numbers, dates or yes and no may be text there."""
    return Column(
        seen.spelled, seen.type in ("text", "date", "timestamp", "json") or is_text_there(seen, table, read), seen.is_moment
    )


def is_text_there(seen: Seen, table: Table, read: Read) -> bool:
    """Whether pandas, as the notebook calls it, reads as text what is a number or yes and no here."""
    contract = seen.kind.contract
    if seen.type == "bool":
        raw = table.look.columns[seen.place - 1]
        return pa.types.is_string(raw.type) and not {str(one).lower() for one in raw.unique().to_pylist()} <= {
            "true",
            "false",
            "none",
            "",
        }
    comma = (
        seen.type == "float" and "," in (contract.get("decimal"), table.source.get("decimal")) and "decimal" not in read.options
    )
    return "unit" in contract or comma or ("thousands" in contract and "thousands" not in read.options)


def adopt(wish: Wish, *, today: date, night: Interval, data: Path) -> Adopted:
    """Raises UsageError where there is no table or no answer to be found, SourceError where the table cannot be read."""
    script = read_script(wish.script)
    shelf = _Shelf(wish, data=data, night=night)
    walk = Walk(shelf)
    walk.run(script)
    if not walk.reads and wish.source:
        walk.open(Read(script_start(script), "--from", path=wish.source))
    found = conclude(walk, wish.script.name)
    place, table = shelf.open(found.read)
    for skipped in script.skipped:
        walk.tell("skipped", *skipped)
    names = dict(zip(_names_in_notebook(found.read, table), table.columns, strict=True))
    table = _named(table, found)
    names = {name: next(one for one in table.columns if one.place == seen.place) for name, seen in names.items()}
    asked = _asked(wish, found, names, table)
    proposal = propose(table, place, asked, today=today)
    return _composed(wish, walk, script, found=found, proposal=proposal)


def script_start(script: Script) -> Any:
    from tasks.adoption.cells import Place as Line

    return Line(script.cells[0][0], 1)


def _named(table: Table, found: Finding) -> Table:
    """Columns of a table without a header get the notebook's names."""
    given = reads.heading(found.read)
    if given is None or table.source.get("header") is not False or len(given) != len(table.columns):
        return table
    from tasks.onboarding.names import name_columns

    columns = tuple(replace(seen, name=name) for seen, name in zip(table.columns, name_columns(given), strict=True))
    return replace(table, columns=columns)


def _asked(wish: Wish, found: Finding, names: Mapping[str, Seen], table: Table) -> Asked:
    task = found.model.task if found.model else None
    if wish.target is not None:
        return Asked(wish.name, wish.target, wish.key, wish.time, task)
    if found.answer is None:
        options = ", ".join(column.spelled for column in table.columns[:8])
        raise UsageError(
            f"{wish.script.name} fits nothing to an answer, so what is to be predicted cannot be told; the table has {options}",
            hint=f"overnight adopt {wish.script.name} --target COLUMN",
        )
    answer = resolve_answer(found.answer)
    spelled = answer.frame.origin.get(answer.name)
    seen = next((one for one in names.values() if one.spelled == spelled), None)
    if seen is None:
        made = next((step for step in answer.frame.steps if answer.name in step.writes), None)
        of = f", made of {', '.join(sorted(made.reads))} ({made.place})" if made else ""
        raise UsageError(
            f"{wish.script.name} predicts {answer.name!r}{of}, which is no column of the table: add it where the table is made",
            hint=f"overnight adopt {wish.script.name} --target COLUMN, or --from a query that has it",
        )
    return Asked(
        wish.name,
        seen.name,
        wish.key,
        wish.time,
        _task_of(task, answer),
        _rule(answer, seen),
        f"it is what {wish.script.name} predicts",
    )


def _task_of(task: str | None, answer: Answer) -> str | None:
    return "classification" if answer.comparison else task


def _rule(answer: Answer, seen: Seen) -> str:
    """The question as pipeline.yaml asks it, in the contract's values."""
    import json

    if not answer.comparison:
        return ""
    literal = answer.literal
    if seen.type == "bool":
        yes = literal is True or str(literal).strip().lower() in _YES
        return f"{seen.name} {answer.comparison} {'true' if yes else 'false'}"
    if seen.type == "text":
        near = next((one for one in seen.labels if one.strip() == str(literal).strip()), str(literal))
        return f"{seen.name} {answer.comparison} {json.dumps(near, ensure_ascii=False)}"
    return f"{seen.name} {answer.comparison} {json.dumps(literal)}"


def _composed(wish: Wish, walk: Walk, script: Script, *, found: Finding, proposal: Proposal) -> Adopted:
    names = dict(zip(_names_in_notebook(found.read, proposal.table), proposal.table.columns, strict=True))
    frame = found.table
    if frame is None or not frame.columns:
        frame = Frame(found.read, [*names], {name: seen.spelled for name, seen in names.items()})
    seen_of = {
        name: next((one for one in proposal.table.columns if one.spelled == spelled), None)
        for name, spelled in frame.origin.items()
    }
    hidden = [name for name, seen in seen_of.items() if seen is proposal.goal.column]
    banned = [name for name, seen in seen_of.items() if seen is not None and proposal.roles[seen.name].flag == "leak"]
    model = found.model
    carried = carry(walk, frame, found.answer, hidden=hidden, banned=banned, model=model)
    return _finished(wish, walk, script, found=found, proposal=proposal, frame=frame, carried=carried, seen_of=seen_of)


def _finished(
    wish: Wish, walk: Walk, script: Script, *, found: Finding, proposal: Proposal, frame: Frame, carried: Carried,
    seen_of: Mapping[str, Seen | None],
) -> Adopted:  # fmt: skip
    from tasks.adoption.shaping import shape_roles, tell_rest

    proposal = _with_texts(proposal, carried, seen_of, found.read)
    seen_of = {
        name: next((one for one in proposal.table.columns if seen and one.place == seen.place), None)
        for name, seen in seen_of.items()
    }
    roles, columns = shape_roles(walk, proposal, frame, carried, seen_of=seen_of, model=found.model)
    names = {
        seen.name: name for name, seen in seen_of.items() if seen is not None and name in carried.given and seen.name != name
    }
    code = write_features(wish.script.name, carried.steps, columns, names=names, model=found.model, sources=walk.sources)
    proposal = replace(
        proposal, roles=roles, model=_model(found.model, walk, proposal), hook="features.py:build" if carried.steps else "",
        origin=wish.script.name,
    )  # fmt: skip
    if not any(role.is_feature for role in roles.values()):
        raise UsageError(
            f"none of the features of {wish.script.name} is a column that can be had", hint=f"overnight new {wish.name} --from …"
        )
    tell_rest(walk, proposal, found, carried)
    told = [*walk.told, *(found.model.told if found.model else [])]
    return Adopted(proposal, code, tuple(told), found.read, script)


def _with_texts(proposal: Proposal, carried: Carried, seen_of: Mapping[str, Seen | None], read: Read) -> Proposal:
    """A column that the notebook's lines take as text stays text, with the very cells that they expect."""
    changed: dict[int, Seen] = {}
    for name in {name for step in carried.steps for name in step.reads}:
        seen = seen_of.get(name)
        if seen is None or seen is proposal.goal.column or seen.name in proposal.key.columns:
            continue
        by_letter = any(f"rows[{name!r}].str" in step.code for step in carried.steps)
        if (seen.is_moment and by_letter) or (not seen.is_moment and is_text_there(seen, proposal.table, read)):
            raw = proposal.table.look.columns[seen.place - 1]
            changed[seen.place] = replace(seen, kind=_as_text(raw, seen))
    if not changed:
        return proposal
    columns = tuple(changed.get(seen.place, seen) for seen in proposal.table.columns)
    return replace(proposal, table=replace(proposal.table, columns=columns))


def _as_text(raw: Any, seen: Seen) -> Kind:
    return text_of(raw) if pa.types.is_string(raw.type) else seen.kind


def _model(model: Model | None, walk: Walk, proposal: Proposal) -> dict[str, Any]:
    """`model:` as pipeline.yaml says it; what suits the table where the notebook's cannot stand here."""
    said = dict(proposal.model)
    regression = proposal.goal.task == "regression"
    fitting = [one for one in walk.metrics if (one in ("rmse", "mae", "r2")) == regression]
    said["metric"] = fitting[-1] if fitting else said["metric"]
    if model is None or not model.path or (model.task or proposal.goal.task) != proposal.goal.task:
        return said
    if model.code:
        said |= {"estimator": "features.py:make", "params": {}}
        return {**said, **({"calibrate": model.calibrate} if model.calibrate else {})}
    found = {**said, "estimator": model.path, "params": model.params}
    found |= {"calibrate": model.calibrate} if model.calibrate else {}
    return found | ({"search": model.search} if model.search else {})
