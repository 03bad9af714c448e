"""Everything that is decided about a table, with the reason and how sure it is: data, before a word of YAML is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from domain.errors import UsageError
from tasks.onboarding.keys import Key, find_key
from tasks.onboarding.leaks import Leak, find_leaks
from tasks.onboarding.learning import propose_model
from tasks.onboarding.pairs import find_pairs
from tasks.onboarding.place import Place
from tasks.onboarding.roles import FEATURES, Role, give_roles
from tasks.onboarding.suite import Group, propose_suite
from tasks.onboarding.table import Seen, Table
from tasks.onboarding.target import Goal, find_goal, propose_target

_RARE, _FEW_ROWS = 0.05, 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said on the command line."""

    name: str
    target: str | None = None
    key: tuple[str, ...] = ()
    time: str | None = None
    task: str | None = None
    rule: str = ""  # the yes/no question that is asked of the target, where it is known
    why: str = "you named it"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pipeline that is not written yet. `mode` is snapshot or interval; `days` are the first and last night with rows."""

    asked: Asked
    place: Place
    table: Table
    goal: Goal
    key: Key
    time: Seen | None
    mode: str
    days: tuple[date, date]
    roles: Mapping[str, Role]
    leaks: Sequence[Leak]
    suite: Sequence[Group]
    model: Mapping[str, Any]
    hook: str = ""  # of features.py, where one is written too
    origin: str = ""  # the notebook that it was adopted from

    @property
    def features(self) -> dict[str, list[str]]:
        """The features by kind."""
        found = {kind: [name for name, role in self.roles.items() if role.use == kind] for kind in FEATURES}
        return {kind: names for kind, names in found.items() if names}

    @property
    def confirmed(self) -> list[str]:
        """Features that tell much alone and were kept."""
        return [leak.column for leak in self.leaks if not leak.out and leak.worth >= 0.9 and self.roles[leak.column].is_feature]

    @property
    def line_key(self) -> bool:
        return not self.key.columns

    def flagged(self, flag: str) -> list[str]:
        return [name for name, role in self.roles.items() if role.flag == flag]

    @property
    def warnings(self) -> list[str]:
        """What a person should look at before relying on the pipeline."""
        return [*_about_answers(self.goal), *_about_table(self)]


def propose(table: Table, place: Place, asked: Asked, *, today: date, guess: Seen | None = None) -> Proposal:
    """Raises UsageError for a target, key or time that cannot be one. A snapshot is of the night before `today`."""
    goal = _goal(table, asked, guess)
    time = _time(table, asked)
    mode, days = _mode(place, time, today)
    key = find_key(table, asked=asked.key, target=goal.column)
    leaks = _leaks(table, goal, key)
    roles = give_roles(table, goal, key, leaks, time)
    if not any(role.is_feature for role in roles.values()):
        raise UsageError(
            f"no column is left to predict {goal.column.spelled!r} from: {_why_none(roles)}", hint="another --target, or --key"
        )
    suite = propose_suite(table, roles, snapshot=mode == "snapshot", time=time if place.kind == "sql" else None)
    return Proposal(asked, place, table, goal, key, time, mode, days, roles, leaks, suite, propose_model(goal, columns=roles))


def _goal(table: Table, asked: Asked, guess: Seen | None) -> Goal:
    if asked.target is None:
        column, why = propose_target(table)
        return find_goal(guess or column, task=asked.task, why="you chose it" if guess else why)
    found = table.find(asked.target)
    if found is None:
        names = ", ".join(repr(column.spelled) for column in table.columns[:12])
        raise UsageError(
            f"--target: there is no column {asked.target!r}; the table has {names}", hint="--target with one of them"
        )
    return find_goal(found, task=asked.task, why=asked.why, rule=asked.rule)


def _leaks(table: Table, goal: Goal, key: Key) -> list[Leak]:
    """Columns alone, then in pairs of those that are left. A column that merely names rows is no feature, so it tells nothing."""
    alone = len(key.columns) == 1
    columns = [
        column
        for column in table.columns
        if column is not goal.column and not (alone and column.name in key.columns and not column.is_moment)
    ]
    found = find_leaks(columns, goal)
    out = {leak.column for leak in found if leak.out}
    exact = {leak.column for leak in found if leak.worth >= 0.999}  # with any other column they tell all, and it tells nothing
    pairs = {leak.column: leak for leak in find_pairs([one for one in columns if one.name not in exact], goal)}
    pairs = {name: leak for name, leak in pairs.items() if name not in out}
    left = [column for column in columns if column.name not in out | pairs.keys() and column.different > 1]
    return [leak for leak in found if leak.column not in pairs] + list(pairs.values()) if left else found


def _time(table: Table, asked: Asked) -> Seen | None:
    if asked.time is None:
        return None
    found = table.find(asked.time)
    if found is None:
        raise UsageError(
            f"--time: there is no column {asked.time!r}", hint=f"one of {', '.join(c.spelled for c in table.columns[:12])}"
        )
    if not found.is_moment:
        raise UsageError(f"--time: {asked.time!r} holds {found.type}, not dates or moments", hint="another --time, or none")
    return found


def _mode(place: Place, time: Seen | None, today: date) -> tuple[str, tuple[date, date]]:
    """Files with dates in their names, and a database's table with a time, are cut by night; all else is a snapshot."""
    if place.days is not None:
        return "interval", place.days
    yesterday = today - timedelta(days=1)
    if time is None or place.kind != "sql":
        return "snapshot", (yesterday, yesterday)
    known = time.numbers[time.numbers == time.numbers]
    first, last = (date(1970, 1, 1) + timedelta(days=int(end // 1)) for end in (known.min(), known.max()))
    return "interval", (first, last)


def _why_none(roles: Mapping[str, Role]) -> str:
    return "; ".join(f"{name} is {role.flag or role.use}" for name, role in list(roles.items())[:6])


def _about_answers(goal: Goal) -> list[str]:
    found = []
    unknown = len(goal.column.kind.values) - goal.known
    if unknown:
        found.append(f"{goal.column.spelled} is empty in {unknown:,} rows; those are predicted, the others are learned from")
    if goal.classes:
        rarest = min(goal.classes.values())
        if len(goal.classes) == 2 and rarest < _RARE * goal.known:
            found.append(
                f"imbalanced: {list(goal.classes)[-1]!r} is {rarest / goal.known:.1%} of rows ({rarest:,}); accuracy says "
                "little, look at roc_auc"
            )
        lone = [name for name, rows in goal.classes.items() if rows == 1]
        few = [name for name, rows in goal.classes.items() if 1 < rows < 10]
        if lone:
            classes = f"{len(lone)} classes stand" if len(lone) > 1 else "one class stands"
            found.append(f"{classes} in one row only ({_some(lone)}), too few to learn from")
        if few:
            found.append(f"{len(few)} class{'es' if len(few) > 1 else ''} with fewer than 10 rows ({_some(few)})")
    if goal.known < _FEW_ROWS:
        found.append(f"{goal.known} rows are few to learn from; every figure will be rough")
    return found


def _about_table(proposal: Proposal) -> list[str]:
    table, found = proposal.table, []
    if not table.look.whole:
        found.append(f"the source is large: what is said here was found in its first {table.rows:,} rows")
    if table.look.ragged:
        found.append(f"{table.look.ragged:,} rows have another shape than the header and will be set aside")
    if proposal.line_key and proposal.place.kind == "sql":
        found.append("a query promises no order, so a line is no lasting name: add ORDER BY to source.query, or name a --key")
    if proposal.place.secret:
        found.append(f"what is secret in the address is in no file: set {proposal.place.secret} in the environment of every run")
    found += [
        f"{column.spelled}: {note}"
        for column in table.columns
        for note in column.kind.notes
        if proposal.roles[column.name].flag not in ("untyped", "empty")
    ]
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
