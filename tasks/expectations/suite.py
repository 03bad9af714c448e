"""Reads the lines of `expectations.yaml` into rules: names, columns, arguments and parameters checked before anything runs."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from deployments.catalogue import Definition
from deployments.yaml import line_of
from domain.errors import DefinitionError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.words import Severity
from tasks.expectations import history

_PARAMETER = re.compile(r"\{([a-z]+\.[a-z_]+)(?::([^{}]*))?\}")  # dotted: a regular expression's {2,3} is no parameter
_COLUMN_KEYS = ("column", "column_A", "column_B")
_BOUNDS = ("min_value", "max_value", "value", "value_set")
OWN_KEYS = frozenset({"expect", "name", "severity", "notes", "at_most"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the suite. `mostly` is the share of rows that must hold, None where the line says nothing; `most_rows` how
    many rows may fail, where the line counts them.

    `name` is what rejects and pages call it: the expectation and its columns, or the line's own `name`.
    """

    number: int
    name: str
    expectation: str
    arguments: Mapping[str, Any]
    severity: Severity
    mostly: float | None
    columns: tuple[str, ...]
    notes: str = ""
    where: str = ""
    written: Mapping[str, Any] = field(default_factory=dict)
    most_rows: int | None = None

    @property
    def is_about_history(self) -> bool:
        """Whether it compares the night with earlier ones; such a rule is judged from recorded figures."""
        return self.expectation in history.EXPECTATIONS

    @property
    def type(self) -> str:
        """The name under which Great Expectations knows it."""
        return f"expect_{self.expectation}"


def read_suite(definition: Definition, interval: Interval) -> tuple[Rule, ...]:
    """The pipeline's rules for one interval; raises DefinitionError with file, line and the nearest known word."""
    from tasks.expectations import engine

    parameters = parameters_of(definition.pipeline, interval)
    names: dict[str, int] = {}
    rules = []
    for number, line in enumerate(definition.expectations):
        where = _Where(definition, number)
        rule = _read_line(number, line, definition.pipeline, parameters=parameters, where=where)
        names[rule.name] = names.get(rule.name, 0) + 1
        if names[rule.name] > 1:
            rule = replace(rule, name=f"{rule.name} {names[rule.name]}")
        if not rule.is_about_history:
            engine.check(rule)
        rules.append(rule)
    return tuple(rules)


@dataclass(frozen=True, slots=True)
class _Where:
    """Finds the place of a key of one line, when there is something to complain about."""

    definition: Definition
    number: int

    def __call__(self, key: str = "expect") -> str:
        path = self.definition.folder / "expectations.yaml"
        return f"{path}:{line_of(path, (self.number, key))}"

    def refuse(self, what: str, key: str = "expect") -> DefinitionError:
        return DefinitionError(what, where=self(key), hint=f"overnight check {self.definition.pipeline.name}")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the list of what is known when nothing is near and the list is short."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known here are {', '.join(names)}" if len(names) <= 12 else ""


def _read_line(number: int, line: Mapping[str, Any], pipeline: Pipeline, *, parameters: Mapping[str, Any], where: _Where) -> Rule:
    from tasks.expectations import engine

    expectation = str(line["expect"]).removeprefix("expect_")
    known = history.EXPECTATIONS.get(expectation) or engine.argument_names(expectation)
    if known is None:
        near = nearest(expectation, {*engine.expectation_names(), *history.EXPECTATIONS})
        raise where.refuse(f"there is no expectation {expectation!r}{near}")
    for key in line:
        if key not in known and key not in OWN_KEYS:
            raise where.refuse(f"{expectation} takes no {key!r}{nearest(key, {*known, *OWN_KEYS})}", key)
    if line.get("severity", "critical") not in list(Severity):
        raise where.refuse(f"severity {line['severity']!r} is none of {', '.join(Severity)}", "severity")
    columns = _columns_of(line)
    for key, column in columns:
        if column not in pipeline.columns:
            raise where.refuse(f"there is no column {column!r}{nearest(column, pipeline.columns)}", key)
    arguments = {
        key: _argument(key, value, pipeline, columns=[c for _, c in columns], parameters=parameters, where=where)
        for key, value in line.items()
        if key not in OWN_KEYS and key not in ("mostly", "within")
    }
    if expectation in history.EXPECTATIONS:
        arguments = _history_arguments(expectation, arguments, line, pipeline, where=where)
    mostly, most_rows = _budget(line, where)
    names = tuple(dict.fromkeys(column for _, column in columns))
    return Rule(
        number=number,
        name=str(line.get("name") or _default_name(expectation, names)),
        expectation=expectation,
        arguments=arguments,
        severity=Severity(line.get("severity", "critical")),
        mostly=mostly,
        columns=names,
        notes=str(line.get("notes", "")),
        where=where(),
        written={key: _plain(value) for key, value in line.items()},
        most_rows=most_rows,
    )


def _default_name(expectation: str, columns: tuple[str, ...]) -> str:
    return f"{expectation}({', '.join(columns)})" if columns else expectation


def _columns_of(line: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every (key, column) that a line names."""
    found = [(key, str(line[key])) for key in _COLUMN_KEYS if key in line]
    several = line.get("column_list", [])
    return found + [("column_list", str(column)) for column in (several if isinstance(several, list) else [several])]


def _budget(line: Mapping[str, Any], where: _Where) -> tuple[float | None, int | None]:
    """How many rows may fail: `mostly: 98%` and `at_most: 2%` say the same; `at_most: 5` counts rows."""
    if "mostly" in line and "at_most" in line:
        raise where.refuse("mostly and at_most both say how many rows may fail; leave one of them out", "at_most")
    if "at_most" not in line:
        return (_share(line["mostly"], where) if "mostly" in line else None), None
    value = line["at_most"]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return None, value
    return round(1 - _share(value, where, key="at_most"), 12), None


def _share(value: Any, where: _Where, key: str = "mostly") -> float:
    text = str(value).strip()
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise where.refuse(f"{key}: {value!r} is no share between 0 and 1", key)
    return share


def _history_arguments(
    expectation: str, arguments: dict[str, Any], line: Mapping[str, Any], pipeline: Pipeline, *, where: _Where
) -> dict[str, Any]:
    """The arguments with what an expectation about earlier nights takes for granted."""
    if "within" not in line:
        raise where.refuse(f"{expectation} needs 'within', how far the night may be from the usual, such as within: 40%")
    filled = {"nights": history.NIGHTS, "same_weekday": True, **arguments, "within": _share(line["within"], where, key="within")}
    if not isinstance(filled["nights"], int) or isinstance(filled["nights"], bool) or filled["nights"] < history.LEAST:
        raise where.refuse(f"nights: {filled['nights']!r} is no number of nights, {history.LEAST} at least", "nights")
    if not isinstance(filled["same_weekday"], bool):
        raise where.refuse(f"same_weekday: {filled['same_weekday']!r} is neither true nor false", "same_weekday")
    column = line.get("column")
    if "column" in history.EXPECTATIONS[expectation] and column is None:
        raise where.refuse(f"{expectation} needs 'column'")
    if column is not None and not history.can_judge(expectation, pipeline.columns[column].type):
        raise where.refuse(f"{expectation} cannot judge {column!r}, which is {pipeline.columns[column].type}", "column")
    return filled


def parameters_of(pipeline: Pipeline, interval: Interval) -> dict[str, Any]:
    """What `{…}` may stand for in an argument; the moments are in the pipeline's own time zone."""
    zone = pipeline.interval.timezone
    return {
        "interval.start": interval.start.astimezone(zone),
        "interval.end": interval.end.astimezone(zone),
        "interval.label": pipeline.calendar.label(interval),
        "pipeline.name": pipeline.name,
    }


def _argument(
    key: str, value: Any, pipeline: Pipeline, *, columns: list[str], parameters: Mapping[str, Any], where: _Where
) -> Any:
    """A value as Great Expectations should get it: parameters filled in, moments in the type of their column."""
    if isinstance(value, list):
        return [_argument(key, one, pipeline, columns=columns, parameters=parameters, where=where) for one in value]
    if isinstance(value, dict):
        return {
            name: _argument(key, one, pipeline, columns=columns, parameters=parameters, where=where)
            for name, one in value.items()
        }
    filled = _fill(value, parameters=parameters, where=where, key=key) if isinstance(value, str) else value
    kind = pipeline.columns[columns[0]].type if columns else None
    if key in _BOUNDS and kind in ("date", "timestamp"):
        return _moment(filled, kind, pipeline, where=where, key=key)
    return filled if isinstance(filled, int | float | str | bool) or filled is None else _plain(filled)


def _fill(text: str, *, parameters: Mapping[str, Any], where: _Where, key: str) -> Any:
    """`{name}` or `{name:format}` replaced; a text that is one parameter and nothing else becomes its value."""

    def value_of(match: re.Match[str]) -> Any:
        if match[1] not in parameters:
            raise where.refuse(f"there is no parameter {match[0]}{nearest(match[1], parameters)}", key)
        return format(parameters[match[1]], match[2]) if match[2] else parameters[match[1]]

    whole = _PARAMETER.fullmatch(text)
    if whole:
        return value_of(whole)
    return _PARAMETER.sub(lambda match: str(_plain(value_of(match))), text)


def _moment(value: Any, kind: str, pipeline: Pipeline, *, where: _Where, key: str) -> Any:
    """ISO text that Great Expectations reads back as a date or a datetime with its zone."""
    if value is None:
        return None
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(str(value))
    except ValueError:
        raise where.refuse(f"{key}: {value!r} is no date or time", key) from None
    if kind == "date":
        return (moment.date() if isinstance(moment, datetime) else moment).isoformat()
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=pipeline.interval.timezone)).isoformat()


def _plain(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {str(k): _plain(v) for k, v in value.items()} if isinstance(value, dict) else value
