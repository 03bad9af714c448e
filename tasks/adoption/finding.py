"""What the notebook comes to: the table, the answer, the features with the steps that make them, and the estimator."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.errors import UsageError
from tasks.adoption.estimators import understand
from tasks.adoption.factory import Model
from tasks.adoption.questions import resolve_answer
from tasks.adoption.values import Answer, Fit, Frame, Maker, Read, Step, Turned, Value
from tasks.adoption.walk import Walk


@dataclass(frozen=True, slots=True)
class Finding:
    """`answer` is none where no estimator was fitted to one; `table` is what goes into the model, none where that cannot "
    "be told."""

    read: Read
    table: Frame | None
    answer: Answer | None
    model: Model | None
    others: tuple[str, ...]


def conclude(walk: Walk, name: str) -> Finding:
    """Raises UsageError when the notebook reads no table."""
    fits = [fit for fit in walk.fits if _answer_of(fit.answer) is not None]
    known = [(fit, understand(fit.maker, _parts_of(fit.table))) for fit in fits]
    carried = [one for one in known if one[1].path]
    best = (carried or known)[-1] if known else None
    fit, model = best if best is not None else (None, None)
    table, answer = _sides(walk, fit)
    read = table.read if table is not None and table.read is not None else next(iter(walk.reads), None)
    if read is None:
        raise UsageError(f"{name} reads no table (no pd.read_csv or the like)", hint=f"overnight adopt {name} --from TABLE")
    for frame in (table, answer.frame if answer is not None else None):
        for said in frame.notes if frame is not None else []:
            walk.tell(said.kind, said.place, said.what)
    names = list(dict.fromkeys(one.maker.name for one, _ in known))
    chosen = fit.maker.name if fit is not None else ""
    return Finding(read, table, answer, model, tuple(one for one in names if one != chosen))


def _parts_of(value: Value) -> list[Maker]:
    return value.parts if isinstance(value, Frame) else []


def _answer_of(value: Value) -> Answer | None:
    if isinstance(value, Turned):
        return Answer(value.frame, value.names[0])
    if isinstance(value, Frame) and len(value.columns) == 1:
        return Answer(value, value.columns[0])
    return value if isinstance(value, Answer) else None


def _sides(walk: Walk, fit: Fit | None) -> tuple[Frame | None, Answer | None]:
    if fit is not None:
        return fit.table if isinstance(fit.table, Frame) else None, _answer_of(fit.answer)
    for split in reversed(walk.splits):  # a library that is not known was given the parts
        if split.parts and isinstance(split.parts[0], Frame) and (answer := _answer_of(split.parts[1])) is not None:
            return split.parts[0], answer
    frame = walk.frames[-1] if walk.frames else None
    return frame, None


@dataclass(frozen=True, slots=True)
class Carried:
    """`columns` are the features by the notebook's names, `steps` what makes them of `given`, the source's columns that "
    "are needed
    (by the notebook's names). `answer` names the target's column in the source."""

    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    given: tuple[str, ...]
    answer: Answer | None


def carry(
    walk: Walk, table: Frame, answer: Answer | None, *, hidden: Sequence[str], banned: Sequence[str], model: Model | None
) -> Carried:
    """`hidden` are columns of the source that hold the answer, `banned` those that are left out as leaks, both by the "
    "notebook's names."""
    resolved = resolve_answer(answer) if answer is not None else None
    chain = _chain(answer, resolved) | set(hidden)
    tainted, gone, kept = set(chain), set(banned), []
    for step in table.steps:
        others = step.writes - chain
        if step.reads & tainted:
            if others and others & set(table.columns):
                walk.tell(
                    "leak",
                    step.place,
                    f"{', '.join(sorted(others))} is made of the answer, so it was known only afterwards; left out",
                )
            tainted |= step.writes
        elif step.reads & gone:
            reason = ", ".join(sorted(step.reads & gone))
            walk.tell("left", step.place, f"{', '.join(sorted(step.writes))} is made of {reason}, which is left out here")
            gone |= step.writes
        else:
            kept.append(step)
            tainted -= step.writes & tainted if not step.writes & chain else set()
    wanted = _wanted(table, model, tainted | gone)
    for name in [
        one for one in table.columns if one in chain and answer is not None and one != answer.name and one in table.origin
    ]:
        walk.tell("leak", None, f"{name} is what the answer is made of; left out of the features")
    kept, wanted = _unaliased(_needed(kept, wanted), wanted)
    reads = {name for step in kept for name in step.reads}
    given = [name for name in table.origin if name not in tainted | gone and (name in reads or name in wanted)]
    return Carried(tuple(wanted), tuple(kept), tuple(given), resolved)


def _chain(answer: Answer | None, resolved: Answer | None) -> set[str]:
    """All names under which the answer goes."""
    if answer is None or resolved is None:
        return set()
    names = {answer.name, resolved.name}
    of = {name for name, meaning in answer.frame.meaning.items() if isinstance(meaning, Answer) and meaning.name in names
          and name in (answer.name, resolved.name)}  # fmt: skip
    same = {name for name, origin in answer.frame.origin.items() if origin == answer.frame.origin.get(resolved.name, "")}
    return names | of | same


def _wanted(table: Frame, model: Model | None, out: set[str]) -> list[str]:
    names = [name for name in table.columns if name not in out]
    if model is None:
        return names
    names = [name for name in names if name not in model.dropped]
    return [name for name in names if name in model.kinds] if model.only and model.kinds else names


def _needed(steps: list[Step], wanted: list[str]) -> list[Step]:
    """The steps whose columns are wanted, or are needed by one that is."""
    needed, kept = set(wanted), []
    for step in reversed(steps):
        if step.writes & needed:
            kept.append(step)
            needed |= step.reads
    return kept[::-1]


def _unaliased(steps: list[Step], wanted: list[str]) -> tuple[list[Step], list[str]]:
    """A column that is merely another name for one of the source needs no step."""
    aliases: dict[str, str] = {}
    for step in steps:
        (name, *more), reads = sorted(step.writes), sorted(step.reads)
        alone = not more and len(reads) == 1 and step.code == f"rows[{name!r}] = rows[{reads[0]!r}]"
        others = [one for one in steps if one is not step]
        if alone and not any(name in one.reads | one.writes or reads[0] in one.writes for one in others):
            aliases[name] = reads[0]
    kept = [step for step in steps if not step.writes & aliases.keys()]
    return kept, list(dict.fromkeys(aliases.get(name, name) for name in wanted))
