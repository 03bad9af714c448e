"""Shows a suite to a batch's table: linted on none of its rows first, then judged on all, then on those that are left.

What Great Expectations sees is a temporary view in a session of its own: it holds the contract's columns and nothing
else, and it ends with the session, so a kill leaves nothing behind.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from domain.errors import DefinitionError, OvernightError
from domain.words import Severity
from store.engine import acting_role, translate
from tasks.expectations.catches import Catch, marked_rows
from tasks.expectations.findings import Finding, finding_of
from tasks.expectations.suite import Rule
from tasks.expectations.wholes import figure_of, told_of, told_rows

if TYPE_CHECKING:
    from tasks.expectations.engine import Reader, Session

_VIEW, _TOLD, _EMPTY = "audited", "told", sql.Identifier("pg_temp", "empty")
_OPTIONS = (
    "-c role={role} -c timezone=UTC -c search_path=pg_catalog -c lock_timeout=60s -c work_mem=256MB "
    "-c default_transaction_read_only=on"
)
_linted: set[tuple[object, ...]] = set()


@dataclass(frozen=True, slots=True)
class Audited:
    """A batch's table as the stages know it; `columns` are the contract's, with their kinds."""

    schema: str
    table: str
    columns: Mapping[str, str]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a suite found: one finding per rule in the suite's order, what to set aside, and examples by rule number."""

    findings: tuple[Finding, ...]
    catches: tuple[Catch, ...]
    examples: Mapping[int, tuple[Mapping[str, Any], ...]]


def judge(
    url: sa.URL, audited: Audited, rules: Sequence[Rule], *, mostly: Mapping[int, float], set_aside: bool = True
) -> Findings:
    """Judges every rule in Postgres but those about earlier nights; nothing is written, and no rows but the examples are read.

    Row-level rules see the whole table. When a critical one of them catches rows that are to be `set_aside`, the rules
    about the whole table judge what is left. Raises DefinitionError for a rule that Postgres or Great Expectations
    cannot run at all, and the driver's own errors in Overnight's words.
    """
    from tasks.expectations import engine

    with _session(url) as database:
        return judge_here(engine.Reader(database), audited, rules, mostly=mostly, set_aside=set_aside)


def judge_here(
    reader: "Reader", audited: Audited, rules: Sequence[Rule], *, mostly: Mapping[int, float], set_aside: bool = True
) -> Findings:
    """The same in a session of the caller's, in which the table may be a temporary one. The session ends with the reader."""
    from tasks.expectations import engine

    rules = [rule for rule in rules if not rule.is_about_history]
    _lint(reader, audited, rules)
    _show(reader.database, audited)
    session = reader.open(_VIEW, audited.columns)
    catches = session.catches([rule for rule in rules if engine.is_row_level(rule)])
    whole = [rule for rule in rules if not engine.is_row_level(rule)]
    findings = session.judge_rows([catch for catch in catches if catch.unique], mostly=mostly)
    setting = _Setting(audited, catches, set_aside=set_aside, shared=any(finding.unexpected for finding in findings))
    answered = set() if setting.shared_go else set(_answered(whole, audited))
    findings += _scan(reader, session, setting, [rule for rule in whole if rule.number in answered], mostly=mostly)
    failing = {finding.rule.number for finding in findings if finding.unexpected}
    examples = {c.rule.number: _examples(reader.database, audited, c) for c in catches if c.rule.number in failing}
    caught = [catch for catch in setting.critical if catch.rule.number in failing]
    findings += _judge_left(reader, session, audited, [rule for rule in whole if rule.number not in answered], caught)
    findings += _unread(rules, findings)
    return Findings(tuple(sorted(findings, key=lambda finding: finding.rule.number)), tuple(caught), examples)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What is judged, and what of it goes: `shared` says whether rows were found that share a key."""

    audited: Audited
    catches: Sequence[Catch]
    set_aside: bool
    shared: bool

    @property
    def critical(self) -> list[Catch]:
        return [catch for catch in self.catches if self.set_aside and catch.rule.severity is Severity.CRITICAL]

    @property
    def shared_go(self) -> bool:
        """Whether rows go for sharing a key, which no condition on a single row tells."""
        return self.shared and any(catch.unique for catch in self.critical)


def _answered(whole: Sequence[Rule], audited: Audited, *, left: bool = False) -> dict[int, tuple[Rule, Any]]:
    """The rules about the whole night that the scan of rows answers, with their aggregates."""
    figures = {rule.number: (rule, figure_of(rule, audited.columns, left=left)) for rule in whole}
    return {number: (rule, figure) for number, (rule, figure) in figures.items() if figure is not None}


def _scan(
    reader: "Reader", session: "Session", setting: _Setting, whole: Sequence[Rule], *, mostly: Mapping[int, float]
) -> list[Finding]:
    """Judges by one look at each row: the rules about rows, and those about the whole that are left of them.

    To tell what is left costs a third more than to take all, and most nights are clean. So a sample is asked first, and if it
    was wrong the figures are taken again.
    """
    audited, catches = setting.audited, [catch for catch in setting.catches if not catch.unique]
    critical = [catch for catch in setting.critical if not catch.unique]
    if not critical or not whole or not _catch_any(reader.database, audited, critical):
        findings = session.judge_rows(catches, mostly=mostly, whole=_answered(whole, audited))
        gone = {catch.rule.number for catch in critical} & {finding.rule.number for finding in findings if finding.unexpected}
        if not gone or not whole:
            return findings
        findings = [finding for finding in findings if finding.rule not in whole]
        wanting = [catch for catch in critical if catch.rule.number in gone]
        return findings + _told(reader, audited, wanting).judge_rows(
            [], mostly=mostly, whole=_answered(whole, audited, left=True)
        )
    told = _told(reader, audited, critical)
    return told.judge_rows(
        [told_of(catch, critical) for catch in catches], mostly=mostly, whole=_answered(whole, audited, left=True)
    )


def _told(reader: "Reader", audited: Audited, critical: Sequence[Catch]) -> "Session":
    """The rows with whether they will be set aside, open for judging."""
    body = _as_text(reader.database, told_rows(audited.schema, audited.table, list(audited.columns), critical))
    _make(reader.database, sql.SQL("CREATE TEMPORARY VIEW {} AS ").format(sql.Identifier(_TOLD)) + body)
    return reader.open(_TOLD, audited.columns)


def _catch_any(database: sa.Engine, audited: Audited, catches: Sequence[Catch]) -> bool:
    """Whether any of the catches wants a row of a sample; not where one cannot be asked, which its rule will say."""
    table = sa.table(audited.table, schema=audited.schema).tablesample(sa.func.system(1), name="sample", seed=sa.literal(1))
    query = sa.select(sa.exists(sa.select(sa.literal(1)).select_from(table).where(sa.or_(*(catch.met for catch in catches)))))
    try:
        with database.connect() as connection:
            return bool(connection.scalar(query))
    except DBAPIError:
        return False


def _judge_left(
    reader: "Reader", session: "Session", audited: Audited, rules: Sequence[Rule], caught: Sequence[Catch]
) -> list[Finding]:
    """Judges the other rules about the whole night, of the rows that no catch wants."""
    if caught and rules:
        _show(reader.database, audited, without=caught)
        session = reader.open(_VIEW, audited.columns)
    return session.judge(rules)


def _unread(rules: Sequence[Rule], findings: Sequence[Finding]) -> list[Finding]:
    """The rules that nothing was said of, said."""
    told = {finding.rule.number for finding in findings}
    return [finding_of(rule, None, row_level=True) for rule in rules if rule.number not in told]


def lint(url: sa.URL, audited: Audited, rules: Sequence[Rule]) -> None:
    """Raises DefinitionError, with the rule's place, for one that cannot run on this table; reads no rows."""
    from tasks.expectations.engine import Reader

    with _session(url) as database:
        _lint(Reader(database), audited, [rule for rule in rules if not rule.is_about_history])


def _lint(reader: "Reader", audited: Audited, rules: Sequence[Rule]) -> None:
    from tasks.expectations import engine

    # As written, for what {interval.start} stands for is another moment each night, and linting costs twice what judging does.
    asked = (tuple(audited.columns.items()), tuple((rule.type, repr(rule.written or rule.arguments)) for rule in rules))
    if asked in _linted or not rules:
        return
    database = reader.database
    # A real, empty table: a view without rows would be planned away before a bad regular expression is looked at.
    _make(database, sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})").format(_EMPTY, sql.Identifier(audited.schema, audited.table)))
    _show(database, audited, table=_EMPTY)
    session = reader.open(_VIEW, audited.columns)
    for finding in session.judge(rules):
        if finding.error:
            raise DefinitionError(f"{finding.rule.name} cannot be judged: {finding.error}", where=finding.rule.where)
    by_row = [rule for rule in rules if engine.is_row_level(rule)]
    found = {catch.rule.number for catch in session.catches(by_row)}
    for rule in by_row:
        if rule.number not in found:
            raise DefinitionError(f"{rule.name} has no form in SQL that names the failing rows", where=rule.where)
    _linted.add(asked)


@contextmanager
def _session(url: sa.URL) -> Iterator[sa.Engine]:
    """One read-only session, with psycopg 3 (which binds numbers as numbers) and memory to sort and hash in."""
    database = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=sa.StaticPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "options": _OPTIONS.format(role=acting_role(url, "writer")),
            "application_name": "overnight audit",
            "connect_timeout": 10,
        },
    )
    lost: list[OvernightError] = []
    sa.event.listen(database, "handle_error", _keep_losses(lost))
    try:
        yield database
    except DBAPIError as error:
        raise translate(error) from error
    finally:
        database.dispose()
    if lost:  # Great Expectations swallows it and calls every rule an error
        raise lost[0]


def _keep_losses(lost: list[OvernightError]) -> Callable[[sa.ExceptionContext], None]:
    def keep(context: sa.ExceptionContext) -> None:
        if isinstance(context.sqlalchemy_exception, DBAPIError):
            known = translate(context.sqlalchemy_exception)
            if known.retryable:
                lost.append(known)

    return keep


def _show(database: sa.Engine, audited: Audited, *, table: sql.Identifier | None = None, without: Sequence[Catch] = ()) -> None:
    """Makes the view: of the batch's table or another one like it, or of the rows that none of the catches wants."""
    if without:
        body = _as_text(database, _rows_left(audited, without))
    else:
        columns = sql.SQL(", ").join(map(sql.Identifier, audited.columns))
        body = sql.SQL("SELECT {} FROM {}").format(columns, table or sql.Identifier(audited.schema, audited.table))
    _make(database, sql.SQL("CREATE OR REPLACE TEMPORARY VIEW {} AS ").format(sql.Identifier(_VIEW)) + body)


def _make(database: sa.Engine, statement: sql.Composed) -> None:
    """Runs one statement that makes something temporary, by the driver's own hand: it holds % signs that are no parameters."""
    with database.connect() as connection:
        raw = connection.connection.cursor()
        for text in ("SET default_transaction_read_only = off", statement.as_string(), "SET default_transaction_read_only = on"):
            raw.execute(text)
            connection.connection.commit()
        raw.close()


def _rows_left(audited: Audited, catches: Sequence[Catch]) -> sa.Select[Any]:
    marked = marked_rows(audited.schema, audited.table, catches)
    caught = sa.or_(*(catch.met for catch in catches))
    return sa.select(*(sa.column(name) for name in audited.columns)).select_from(marked).where(caught.is_not(True))


def _as_text(database: sa.Engine, query: sa.Select[Any]) -> sql.Composable:
    """A query with its values written in by the driver, because a view's definition takes no parameters."""
    compiled = query.compile(dialect=database.dialect, compile_kwargs={"render_postcompile": True})
    with database.connect() as connection:
        raw: Any = connection.connection.driver_connection
        written = (psycopg.ClientCursor(raw) if isinstance(raw, psycopg.Connection) else raw.cursor()).mogrify(
            str(compiled), compiled.params
        )
    return sql.SQL(cast(Any, written.decode() if isinstance(written, bytes) else written))


def _examples(database: sa.Engine, audited: Audited, catch: Catch) -> tuple[Mapping[str, Any], ...]:
    """Up to twenty failing rows: their key, and the columns that the rule is about."""
    marked = marked_rows(audited.schema, audited.table, [catch])
    names = list(dict.fromkeys([*audited.key, *catch.rule.columns]))
    query = sa.select(*(sa.column(name) for name in names)).select_from(marked).where(catch.met).limit(20)
    with database.connect() as connection:
        rows = connection.execute(query).all()
    return tuple({name: _shown(value) for name, value in zip(names, row, strict=True)} for row in rows)


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text if len(text) <= 200 else text[:199] + "…"
