"""What is predicted: the column, the question asked of it, and the task."""

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from domain.errors import UsageError
from domain.target import parse_rule
from tasks.onboarding.table import Seen, Table

_FEW, _MANY = 10, 200  # whole numbers up to so many are classes; texts beyond so many are none
_NAMES = re.compile(
    r"^(target|label|labels|class|y|outcome|response|churn(ed)?|survived|default(ed)?|fraud|is_fraud|species|diagnosis|income|salary|price|"
    r"sale_?price|quality|rating|score|cost|charges|medv|median_house_value|demand|sales|revenue|converted|clicked|result|status|grade)$",
    re.IGNORECASE,
)
_CLASS_NAME = re.compile(
    r"(class|type|category|label|species|cluster|segment|group|grade|level|rating|quality|stage)", re.IGNORECASE
)
_YES = re.compile(
    r"^(yes|y|true|t|1|1\.0|positive|pos|churn(ed)?|default(ed)?|fraud(ulent)?|bad|malignant|m|>\s?50k\.?|high|success|ja|si|sí|oui|spam|"
    r"converted|left|lost|late|fail(ed|ure)?|cancel(l?ed)?|approved|dead|died|sick|disease|abnormal|anomaly|"
    r"attrited.*|charged off)$",
    re.IGNORECASE,
)


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Goal:
    """`rule` is the yes/no question, if any; `kind` is yes or no, classes, or number; `classes` maps each to its rows."""

    column: Seen
    task: str
    kind: str
    rule: str
    why: str
    sure: str
    classes: dict[str, int]
    known: int
    asked: bool = False  # the question was given, and may be any comparison

    @property
    def answers(self) -> Any:
        """A number or a class for each row; NaN where it is unknown."""
        if self.kind == "number":
            return self.column.numbers
        codes = np.where(self.column.codes < 0, np.nan, self.column.codes.astype(float))
        if self.kind != "yes or no":
            return codes
        texts = [
            str(value).lower() if isinstance(value, bool) else str(value)
            for value in self.column.kind.values.dictionary_encode().dictionary.to_pylist()
        ]
        if self.asked:
            return self._of_question()
        yes = texts.index(self.yes)
        return np.where(np.isnan(codes), np.nan, (codes == yes).astype(float))

    def _of_question(self) -> Any:
        rule = parse_rule(self.rule, column=self.column.name)
        if isinstance(rule.literal, str):
            texts = np.array([str(value) for value in self.column.kind.values.to_pylist()], dtype=object)
            found = (texts == rule.literal) == (rule.comparison == "==")
        else:
            found = _COMPARISONS[rule.comparison](self.column.numbers, float(rule.literal))
        return np.where(self.column.codes < 0, np.nan, found.astype(float))

    @property
    def yes(self) -> str:
        """The value that means yes, as text."""
        if self.asked:
            return "yes"
        literal = json.loads(self.rule.partition("== ")[2])
        return str(literal).lower() if isinstance(literal, bool) else str(literal)

    def to_yaml(self) -> dict[str, Any]:
        question = {"as": self.rule} if self.rule else {}
        return {"column": self.column.name, **question, "task": self.task}


def propose_target(table: Table) -> tuple[Seen, str]:
    """The likeliest column, and why."""
    fitting = [column for column in table.columns if _may_be_target(column, table)]
    if not fitting:
        raise UsageError(
            "no column of this table could be predicted: each is constant, empty or different in every row", hint="another table"
        )
    named = [column for column in fitting if _NAMES.fullmatch(column.name) or _NAMES.fullmatch(column.spelled)]
    if named:
        return named[-1], f"{named[-1].spelled!r} is what such a column is often called"
    return fitting[-1], f"{fitting[-1].spelled!r} is the last column that can be predicted"


def _may_be_target(column: Seen, table: Table) -> bool:
    if column.type in ("", "json", "date", "timestamp") or column.different < 2 or column.is_index:
        return False
    if column.type == "text":
        return column.different <= min(_MANY, max(2, table.rows // 3)) and column.words < 6
    return not (column.is_unique and (column.is_counted or column.is_named_like_a_key))


def find_goal(column: Seen, *, task: str | None, why: str, rule: str = "") -> Goal:
    """`rule` is a yes/no question that was asked already. Raises UsageError when nothing can be learned from the column."""
    if column.different < 2:
        said = "is empty" if not column.filled else "holds one value only"
        raise UsageError(f"--target: {column.spelled!r} {said}, so there is nothing to learn", hint="another --target")
    if column.type in ("", "json", "date", "timestamp"):
        raise UsageError(
            f"--target: {column.spelled!r} is a {column.type or 'column of bytes'}, which cannot be predicted",
            hint="another --target",
        )
    if task not in (None, "classification", "regression"):
        raise UsageError(f"--task: {task!r} is neither classification nor regression", hint="--task regression")
    if task == "regression" and column.type == "text":
        raise UsageError(f"--task regression: {column.spelled!r} holds words, not numbers", hint="--task classification")
    if column.type == "text" and column.different > max(_MANY, 2) and column.different > 0.5 * column.filled:
        raise UsageError(
            f"--target: {column.spelled!r} has {column.different:,} different texts in {column.filled:,} rows, so it is no class",
            hint="another --target",
        )
    if rule:
        return _asked(column, rule, why)
    kind, reason, sure = _kind(column, task)
    classes = column.labels if kind != "number" else {}
    rule = _rule(column, classes) if kind == "yes or no" else ""
    return Goal(
        column,
        "regression" if kind == "number" else "classification",
        kind,
        rule,
        f"{why}; {reason}",
        sure,
        classes,
        column.filled,
    )


def _asked(column: Seen, rule: str, why: str) -> Goal:
    goal = Goal(column, "classification", "yes or no", rule, why, "sure", {}, column.filled, asked=True)
    answers = goal.answers
    yes = int((answers == 1).sum())
    if not yes or yes == column.filled:
        raise UsageError(
            f"{rule!r} is {'always' if yes else 'never'} true in this table, so there is nothing to learn", hint="--target"
        )
    return replace(goal, classes={"yes": yes, "no": column.filled - yes})


def _kind(column: Seen, task: str | None) -> tuple[str, str, str]:
    if task == "regression":
        return "number", "taken as a number, as asked", "asked for"
    if column.different == 2:
        return "yes or no", "it has two values", "sure"
    if column.type in ("text", "bool"):
        return "classes", f"it has {column.different:,} different texts", "sure"
    if task == "classification":
        return "classes", f"its {column.different:,} values taken as classes, as asked", "asked for"
    numbers = column.numbers[~np.isnan(column.numbers)]
    whole = bool((numbers == np.round(numbers)).all())
    enough = len(numbers) >= 15 * column.different
    if whole and column.different <= _FEW and enough:
        sure = "sure" if _CLASS_NAME.search(column.spelled) else "likely"
        return (
            "classes",
            f"it has {column.different} different whole numbers, taken as classes (--task regression: as a number)",
            sure,
        )
    return "number", f"it has {column.different:,} different numbers", "sure" if column.different > 30 else "likely"


def _rule(column: Seen, classes: dict[str, int]) -> str:
    """The question whose yes is the value that means it, or else the rarer one."""
    names = list(classes)
    yes = next((name for name in names if _YES.match(name.strip())), names[-1])
    if {name.strip().lower() for name in names} == {"m", "f"}:
        yes = names[-1]
    if column.type == "bool":
        return f"{column.name} == true"
    literal = yes if column.type in ("int", "float", "decimal") else json.dumps(yes, ensure_ascii=False)
    return f"{column.name} == {literal}"
