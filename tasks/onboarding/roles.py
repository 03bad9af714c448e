"""What each column is for: the key, the target, a feature of some kind, or nothing, with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.onboarding.keys import Key
from tasks.onboarding.leaks import Leak
from tasks.onboarding.table import Seen, Table
from tasks.onboarding.target import Goal

FEATURES = ("numeric", "categorical", "datetime", "text")


@dataclass(frozen=True, slots=True)
class Role:
    """`use` is key, target, time, one of the features' kinds, or unused; `why` is empty where nothing needs saying."""

    use: str
    why: str = ""
    flag: str = ""  # constant, identifier, all-unique text, leak, empty, doubled

    @property
    def is_feature(self) -> bool:
        return self.use in FEATURES


def give_roles(table: Table, goal: Goal, key: Key, leaks: Sequence[Leak], time: Seen | None) -> dict[str, Role]:
    """A role for each column of the table, by its name."""
    out = {leak.column: leak for leak in leaks if leak.out}
    roles: dict[str, Role] = {}
    for column in table.columns:
        if column is goal.column:
            roles[column.name] = Role("target")
        elif column.name in key.columns:
            # Parts of a key may tell something, and so does a moment; any other that is different in every row only names it.
            tells = (len(key.columns) > 1 or column.is_moment) and column.name not in out
            use = _kind_of_feature(column, table) if tells else Role("key")
            roles[column.name] = use if use.is_feature else Role("key")
        elif column.name in out:
            roles[column.name] = Role("unused", out[column.name].why, "leak")
        else:
            roles[column.name] = _kind_of_feature(column, table)
    twins = _twins([column for column in table.columns if roles[column.name].is_feature])
    roles |= {name: Role("unused", f"holds the very values of {other}", "doubled") for name, other in twins.items()}
    if time is not None and roles[time.name].use in ("unused", "datetime"):
        roles[time.name] = Role("datetime")
    return roles


def _kind_of_feature(column: Seen, table: Table) -> Role:
    if not column.type:
        return Role("unused", column.kind.notes[0] if column.kind.notes else "of no type that a contract knows", "untyped")
    if column.type == "json":
        return Role("unused", "nested values, which no model here takes", "json")
    if not column.filled:
        return Role("unused", "empty in every row", "empty")
    if column.different == 1:
        return Role("unused", "the same in every row" if column.filled == table.rows else "one value or none", "constant")
    if column.is_moment:
        return Role("datetime")
    if column.type == "text":
        return _kind_of_text(column)
    counts = column.is_index or (column.is_named_like_a_key and column.different > max(50, 0.2 * table.rows))
    if column.type in ("int", "decimal") and (counts or (column.is_counted and column.different > 50)):
        return Role("unused", "names rows and says nothing of them", "identifier")
    return Role("numeric")


def _kind_of_text(column: Seen) -> Role:
    share = column.different / column.filled
    if column.words >= 3 and column.different > 30 and share > 0.2:
        return Role("text", "words, learned by which of them it holds", "all-unique text" if share > 0.9 else "")
    if share > 0.9 and column.different > 20:
        return Role("unused", f"different in {share:.0%} of rows, so it names them and says nothing of them", "identifier")
    return Role("categorical")


def _twins(columns: Sequence[Seen]) -> dict[str, str]:
    """Columns that hold the very values of an earlier one."""
    seen: dict[bytes, str] = {}
    found: dict[str, str] = {}
    for column in columns:
        content = (
            column.numbers.tobytes() if column.is_number else column.codes.tobytes() + str(sorted(column.labels)[:50]).encode()
        )
        if content in seen:
            found[column.name] = seen[content]
        else:
            seen[content] = column.name
    return found
