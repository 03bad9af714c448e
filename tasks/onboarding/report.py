"""A proposal in words, for the terminal, and as JSON."""

from collections.abc import Iterator
from typing import Any

from tasks.onboarding.propose import Proposal

_FLAGS = {
    "leak": "left out as leaks", "constant": "left out as constant", "identifier": "left out as names of rows",
    "empty": "left out as empty",
    "doubled": "left out as copies", "json": "left out as nested", "untyped": "not in the contract",
}  # fmt: skip


def sentences(proposal: Proposal) -> Iterator[tuple[str, str]]:
    """(heading, what was decided and why), in the order in which a reader wants them."""
    table, goal = proposal.table, proposal.goal
    yield "table", f"{table.rows:,} rows, {len(table.columns)} columns{_written(proposal)}"
    yield "predicts", f"{goal.column.spelled}, {_kind_in_words(proposal)} ({goal.sure}: {goal.why})"
    yield "key", f"{', '.join(proposal.key.columns) or 'source_line'} ({proposal.key.sure}: {proposal.key.why})"
    yield "nights", _mode_in_words(proposal)
    yield "features", "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in proposal.features.items())
    for flag, words in _FLAGS.items():
        names = proposal.flagged(flag)
        if flag == "leak":
            for name in names:
                yield "leak", f"{name} {proposal.roles[name].why}; left out"
        elif names:
            yield "no feature", f"{words}: {_some(names)}"
    for leak in proposal.leaks:
        if not leak.out:
            yield "leak?", f"{leak.column} {leak.why}"
    for sentence in proposal.warnings:
        yield "look at", sentence
    yield "model", f"{_short(str(proposal.model['estimator']))}, judged by {proposal.model['metric']}"
    yield "rules", f"{sum(len(group.lines) for group in proposal.suite)} expectations from the table's own figures"


def _short(estimator: str) -> str:
    return estimator if ":" in estimator else estimator.rpartition(".")[2]


def _written(proposal: Proposal) -> str:
    said = {
        key: value
        for key, value in proposal.table.source.items()
        if key in ("delimiter", "encoding", "decimal", "header", "skip", "nulls")
    }
    words = [
        f"{key} {value!r}" if not isinstance(value, list) else f"no value: {', '.join(map(str, value[1:]))}"
        for key, value in said.items()
    ]
    return f"; {', '.join(words)}" if words else ""


def _kind_in_words(proposal: Proposal) -> str:
    goal = proposal.goal
    if goal.kind == "yes or no":
        yes = goal.classes.get(goal.yes, 0)
        return f"yes or no: {goal.rule}, true in {_share(yes / max(1, goal.known))}"
    return f"one of {len(goal.classes)} classes" if goal.kind == "classes" else "a number"


def _mode_in_words(proposal: Proposal) -> str:
    first, last = proposal.days
    if proposal.mode == "snapshot":
        return (
            f"a snapshot: the whole table every night, from {first} on; rows whose answer is known are predicted by models that "
            "have not seen them"
        )
    return f"cut by night, {first} to {last}; predictions begin once there are nights to learn from"


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def next_commands(proposal: Proposal) -> list[str]:
    name = proposal.asked.name
    if proposal.mode == "snapshot":
        return [f"overnight check {name}", f"overnight run {name}"]
    first, last = proposal.days
    return [f"overnight check {name}", f"overnight backfill {name} --from {first} --to {last}"]


def to_json(proposal: Proposal, folder: str) -> dict[str, Any]:
    """Everything that was found and decided."""
    goal, table = proposal.goal, proposal.table
    return {
        "pipeline": proposal.asked.name, "folder": folder, "rows": table.rows, "mode": proposal.mode,
        "from": str(proposal.days[0]), "source": {**proposal.place.to_source(proposal.mode), **table.source},
        "target": {"column": goal.column.name, "task": goal.task, "kind": goal.kind, "as": goal.rule or None,
                   "classes": len(goal.classes),
                   "sure": goal.sure, "why": goal.why},
        "key": {"columns": list(proposal.key.columns) or ["source_line"], "sure": proposal.key.sure, "why": proposal.key.why,
                "repeats": proposal.key.repeats},
        "time": proposal.time.name if proposal.time else None,
        "columns": [
            {"name": column.name, "from": column.spelled, **column.kind.contract, "use": proposal.roles[column.name].use,
             "why": proposal.roles[column.name].why, "flag": proposal.roles[column.name].flag}
            for column in table.columns
        ],
        "leaks": [{"column": leak.column, "worth": leak.worth, "out": leak.out, "why": leak.why} for leak in proposal.leaks],
        "warnings": proposal.warnings, "features": proposal.features, "model": dict(proposal.model),
        "expectations": sum(len(group.lines) for group in proposal.suite), "next": next_commands(proposal),
    }  # fmt: skip


def _share(part: float) -> str:
    """Whole percents, and of a rare answer as many digits as tell it from none."""
    return f"{part:.0%}" if 0.01 <= part <= 0.99 or part in (0, 1) else f"{part:.2%}"
