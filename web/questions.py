"""What may be asked of the rows: the words of an address, read into a question, or refused with a sentence."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import UsageError
from domain.pipeline import Pipeline
from store.reads.rows import OPERATORS, Filter, Question, column_types
from web.answers import Facet
from web.night import shown_columns
from web.schemas import RowsAnswer

OWN_WORDS = frozenset({"night", "sort", "columns", "after", "limit", "as_of", "where", "is", "value", "show", "trust", "facets"})


class RowsAsked(BaseModel):
    """The words with a meaning of their own; every other one is a filter on a column."""

    model_config = ConfigDict(extra="allow", frozen=True)

    night: str = Field("latest", max_length=60, description="a night's name; 'latest' is the newest published one")
    sort: str = Field("", max_length=80, description="a column; '-' before it for the largest first")
    columns: str = Field("", max_length=4000, description="the columns to show, with commas between them; '*' for all")
    after: str = Field("", max_length=2000, description="the cursor that the page before has given as 'next'")
    limit: int = Field(100, ge=1, le=1000, description="rows on a page")
    as_of: str = Field("", max_length=40, description="a moment: what readers saw then, such as 2013-02-05T08:00")

    facets: str = Field("", max_length=3, description="'yes' counts the most frequent values among rows that match")

    @property
    def lone(self) -> bool:
        """Whether one statement answers it: of the newest night, the batch is known without asking."""
        return self.night == "latest" and not self.as_of

    def moment(self, pipeline: Pipeline) -> datetime | None:
        """`as_of` as a moment; without an offset it is read in the pipeline's time zone."""
        if not self.as_of:
            return None
        try:
            moment = datetime.fromisoformat(self.as_of)
            if not 1970 <= moment.year <= 9000:
                raise ValueError
        except ValueError:
            raise UsageError(f"as_of: {self.as_of[:40]!r} is no moment; write it as 2013-02-05T08:00") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=pipeline.interval.timezone)


def read_question(pipeline: Pipeline, asked: RowsAsked, query: Sequence[tuple[str, str]]) -> Question:
    """The question that an address holds; raises UsageError for a column or comparison that is none."""
    if asked.columns == "*":
        columns = tuple(column_types(pipeline))
    elif asked.columns:
        columns = tuple(dict.fromkeys(part for part in asked.columns.split(",") if part))
    else:
        columns = shown_columns(pipeline)
    return Question(
        columns,
        tuple(read_filter(name, value) for name, value in query if name not in OWN_WORDS and value != ""),
        sort=asked.sort.removeprefix("-") or None, descending=asked.sort.startswith("-"),
        after=asked.after or None, limit=asked.limit,
    )  # fmt: skip


def read_filter(name: str, value: str) -> Filter:
    """`carrier` means equal; `distance__gt` names its comparison."""
    column, separator, operator = name.rpartition("__")
    if not separator or operator not in ("eq", "ne", "lt", "le", "gt", "ge", "null"):
        return Filter(name, "eq", value)
    return Filter(column, operator, value)


def form_words(
    pipeline: Pipeline, asked: RowsAsked, question: Question, *, path: str, query: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """What the rows page needs to draw its form: the filters, each with the address without it, and what to keep."""
    filters = [(name, value) for name, value in query if name not in OWN_WORDS and value]
    kept = [(name, value) for name, value in query if name in ("as_of", "limit") and value]

    def address(without: tuple[str, str] | None) -> str:
        left = [pair for pair in query if pair != without and pair[0] != "after"]
        return f"{path}?{urlencode(left)}" if left else path

    kept_in_file = [pair for pair in query if pair[0] not in ("after", "limit") and pair[1]]
    whole_key = all(name in question.columns for name in pipeline.key) and question.columns[0] == pipeline.key[0]
    return {
        "asked": asked, "all_columns": column_types(pipeline), "kept": [*filters, *kept], "first": address(None),
        "filters": [(filter_words(*pair), address(pair)) for pair in filters], "has_key": whole_key,
        "bare": _bare(path, query), "sorts": _sorts(pipeline, question, path, query),
        "export": path, "export_query": urlencode(kept_in_file),
    }  # fmt: skip


def _sorts(pipeline: Pipeline, question: Question, path: str, query: Sequence[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """By column, the address that sorts by it, the other way round when that is how it is, and how it is sorted now."""
    kept = [pair for pair in query if pair[0] not in ("sort", "after") and pair[1]]
    now = question.sort or pipeline.key[0]
    found = {}
    for name in question.columns:
        order = ("descending" if question.descending else "ascending") if name == now else ""
        sort = f"-{name}" if order == "ascending" else name
        found[name] = (f"{path}?{urlencode([*kept, ('sort', sort)])}", order)
    return found


def _bare(path: str, query: Sequence[tuple[str, str]]) -> str:
    """The address without any filter: the night, the order and the columns stay."""
    left = [pair for pair in query if pair[0] in OWN_WORDS and pair[0] != "after" and pair[1]]
    return f"{path}?{urlencode(left)}" if left else path


def facet_words(
    facets: Sequence[Facet], *, path: str, query: Sequence[tuple[str, str]]
) -> list[tuple[str, list[tuple[str, int, str, bool]], int]]:
    """For the page: each column with its values as (words, rows, the address with or without that filter, whether it is set),
    and the rows that hold another value."""
    kept = [pair for pair in query if pair[0] not in ("after", "facets") and pair[1]]
    shown = []
    for facet in facets:
        values = []
        for one in facet.values:
            pair = _facet_filter(facet.column, one.value)
            on = pair in kept
            left = [each for each in kept if each != pair] if on else [*kept, pair]
            values.append((cell_words(one.value), one.rows, f"{path}?{urlencode(left)}" if left else path, on))
        shown.append((facet.column, values, facet.others))
    return shown


def _facet_filter(column: str, value: str | None) -> tuple[str, str]:
    if value is None or value == "":
        return (f"{column}__null", "true") if value is None else (f"{column}__eq", "")
    return (column if column not in OWN_WORDS else f"{column}__eq"), value


def cell_words(value: str | None) -> str:
    return {"true": "yes", "false": "no", None: "empty", "": "no text"}.get(value, value or "")


def permalink(answer: RowsAnswer, *, path: str, query: Sequence[tuple[str, str]]) -> str:
    """The address at which these very rows stay, whatever is published later; empty when there are none."""
    if answer.night is None or answer.trust.published_at is None:
        return ""
    kept = [pair for pair in query if pair[0] not in ("night", "as_of") and pair[1]]
    at = answer.as_of or answer.trust.published_at
    return f"{path}?{urlencode([*kept, ('night', answer.night), ('as_of', at.isoformat())])}"


def filter_words(name: str, value: str) -> str:
    one = read_filter(name, value)
    sign = OPERATORS[one.operator].lower()
    return f"{one.column} {sign}" if one.operator == "null" else f"{one.column} {sign} {value}"
