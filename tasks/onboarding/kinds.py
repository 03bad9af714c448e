"""What a column holds: the strictest type that takes its cells, by the very rules that nights are held to.

Looks at distinct cells only, so that eighty thousand rows cost little more than eight hundred.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.spec.source import Column
from tasks.ingest.cells import check_column

_UTC = ZoneInfo("UTC")
# Words that mean 'no value' among numbers and dates, whatever else the table holds.
NOTHING = frozenset({
    "", "na", "n/a", "n.a.", "#n/a", "#na", "null", "(null)", "none", "nan", "-nan", "nil", "\\n", "-", "--", "---", "?", ".",
    "..", "<na>", "inf", "-inf", "unknown", "missing", "not available", "not applicable", "no data", "nd", "n.d.", "k.a.",
    "keine angabe", "undefined", "tbd", "#value!", "#div/0!", "#ref!", "#null!", "x", "*",
})  # fmt: skip
# Of these, the words that mean it among texts too; "None" or "NA" may be a word there.
_NOTHING_IN_TEXT = frozenset({"?", "null", "(null)", "\\n", "#n/a", "nan", "n/a", "<na>", "#value!", "#ref!"})
_YES_NO = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
_WORDS = re.compile(r"\S+")
_CURRENCIES = frozenset(_WORDS.findall("$ € £ ¥ ₹ ₽ ₩ ฿ ₺ ₫ R$ US$ A$ C$ USD EUR GBP CHF JPY CAD AUD INR Rs Rs. kr zł ~ ≈"))
_UNITS = _CURRENCIES | frozenset(_WORDS.findall("""
    kg g mg lb lbs oz t km m cm mm mi mile miles ft in inch inches yd m2 m² m3 m³ sqft sqm qm ha l ml cl gal
    s sec secs ms min mins h hr hrs hour hours d day days week weeks month months yr yrs year years
    % °C °F ° C F K V A W kW kWh MW MWh Wh hp bhp PS CC cc rpm Hz kHz MHz GHz GB MB KB TB Pa hPa kPa bar mbar psi
    kmpl mpg km/h kmh kph mph m/s ppm dB lm lx lux px pcs x k M
"""))  # fmt: skip
_SPACES = "[ \t\u00a0\u2007\u2009\u202f]*"
_WITH_UNIT = re.compile(
    rf"{_SPACES}[+-]?{_SPACES}(?P<before>[^\d\s.,+-][^\d\s]{{0,4}})?{_SPACES}[+-]?(?P<number>\d[\d.,' _\u00a0\u202f]*\d|\d|\.\d+)"
    rf"(?P<gap>{_SPACES})(?P<after>[^\d\s.,+-][^\d]{{0,14}}?\d?)?{_SPACES}"
)
_ZERO_IN_FRONT = re.compile(r"[+-]?0\d")
_DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y",
          "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%Y%m%d")  # fmt: skip
_CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
_SOME = 300  # distinct cells that a candidate is tried on before all of them
_BAD_CELLS = 0.002  # the share of rows that may be set aside for a cell that does not fit
_MOST_WORDS = 2_000  # different texts of a column that may be freed of the spaces around them
_LONGEST_INT, _DIGITS_OF_FLOAT = 18, 16


@dataclass(frozen=True, slots=True)
class Kind:
    """`contract` is what `columns:` says of a column; `values` its cells as Arrow values, null where nothing was meant;
    `marks` are the words taken as 'no value' that the whole source may share; `bad` counts cells that fit no reading."""

    contract: dict[str, Any]
    values: Any
    marks: tuple[str, ...] = ()
    bad: int = 0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Cells:
    """The distinct cells of a column and how often each stands there."""

    texts: Any
    counts: Any
    rows: int

    @property
    def filled(self) -> int:
        return int(self.counts.sum())


def kind_of(cells: Any) -> Kind:
    """The kind of a column of text or of typed values."""
    if not pa.types.is_string(cells.type):
        return _typed(cells)
    counted = _count(cells)
    if not len(counted.texts):
        return Kind({"type": "text", "null": True}, cells, notes=("empty in every row",))
    for contract in _candidates(counted):
        kind = _try(cells, counted, contract)
        if kind is not None:
            return kind
    return _as_text(cells, counted)


def read_as(cells: Any, contract: Mapping[str, Any]) -> Kind | None:
    """The kind of a column of text that is read in one way only; none when it cannot be read so."""
    return _try(cells, _count(cells), contract)


def text_of(cells: Any) -> Kind:
    """The kind of a column of text that is to stay text, whatever else it could be read as."""
    return _as_text(cells, _count(cells))


def _trim(counted: _Cells) -> dict[str, Any]:
    """Whether spaces around the values are no part of them: all have them, or the same values stand without, in any case."""
    bare = pc.utf8_trim_whitespace(counted.texts)
    spaced = np.asarray(pc.fill_null(pc.not_equal(bare, counted.texts), False))
    if not spaced.any() or len(counted.texts) > _MOST_WORDS:
        return {}
    return {"trim": True} if spaced.all() or len(pc.utf8_lower(bare).unique()) < len(bare) else {}


def _count(cells: Any) -> _Cells:
    found = pc.value_counts(cells.drop_null())
    return _Cells(found.field("values"), np.asarray(found.field("counts")), len(cells))


def _candidates(counted: _Cells) -> Iterator[dict[str, Any]]:
    """What the cells could be, the strictest first; only readings that most of a sample of them fits."""
    sample = [text.strip() for text in counted.texts[:_SOME].to_pylist()]
    known = [text for text in sample if text.lower() not in NOTHING]
    if not known:
        return
    if all(text[0] in "{[" and text[-1] in "}]" for text in known):
        yield {"type": "json"}
    words = {text.lower() for text in known}
    if len(counted.texts) <= 12 and len(words) == 2 and words in _YES_NO:
        yield {"type": "bool", **_trim(counted)}
    if any(_ZERO_IN_FRONT.match(text) and not re.search(r"[.,:/\- ]", text) for text in known) and not _eight_digits(known):
        return
    for contract in (*_plain_numbers(known), *_moments(known), *_marked_numbers(known)):
        fitting = check_column(pa.array(known), Column.model_validate(contract), zone=_UTC)
        if fitting.bad.mean() <= 0.3:
            yield contract


def _eight_digits(known: Sequence[str]) -> bool:
    return all(re.fullmatch(r"[12]\d{7}", text) for text in known)


def _plain_numbers(known: Sequence[str]) -> list[dict[str, Any]]:
    digits = [re.sub(r"\D", "", text) for text in known]
    if any(len(one) > _LONGEST_INT for one in digits) and all(re.fullmatch(r"[+-]?\d+", text) for text in known):
        return (
            [{"type": "decimal"}]
            if any(len(one) > _LONGEST_INT + 1 for one in digits)
            else [{"type": "int"}, {"type": "decimal"}]
        )
    if _eight_digits(known):
        return [{"type": "date", "format": "%Y%m%d"}, {"type": "int"}]
    return [{"type": "int"}, {"type": "float"}]


def _marked_numbers(known: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Numbers written with other marks, or with a unit."""
    unit = _unit_of(known)
    with_unit = {"unit": unit} if unit else {}
    if unit:
        yield from ({"type": kind, **with_unit} for kind in ("int", "float"))
    if not any("," in text or " " in text or "\u00a0" in text or "'" in text for text in known):
        return
    for decimal, thousands in ((".", ","), (",", None), (",", "."), (".", " "), (",", " "), (".", "'")):
        marks: dict[str, Any] = {name: mark for name, mark in (("decimal", decimal), ("thousands", thousands)) if mark}
        marks = {name: mark for name, mark in marks.items() if (name, mark) != ("decimal", ".")}
        kinds = ("int", "float") if thousands else ("float",)
        yield from ({"type": kind, **marks, **with_unit} for kind in kinds)


def _unit_of(known: Sequence[str]) -> str | None:
    """What stands before or after nearly every number, if it is a currency, a unit, or set apart by a space."""
    pairs: Counter[tuple[str, str]] = Counter()
    for text in known:
        match = _WITH_UNIT.fullmatch(text)
        if match is None or (match["before"] and match["after"]) or (_ZERO_IN_FRONT.match(match["number"]) and match["before"]):
            continue
        before, after = match["before"] or "", match["after"] or ""
        if (not before or before in _CURRENCIES) and (not after or match["gap"] or after in _UNITS):
            pairs[before, after.strip()] += 1
    (before, after), often = pairs.most_common(1)[0] if pairs else (("", ""), 0)
    if not before and not after:
        pairs.pop(("", ""), None)
        (before, after), often = pairs.most_common(1)[0] if pairs else (("", ""), 0)
    return (before or after) if often >= 0.6 * len(known) else None


def _moments(known: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not all(re.search(r"\d", text) for text in known[:20]) or max(map(len, known)) > 40:
        return
    if any(re.match(r"\d{4}-\d{2}-\d{2}", text) for text in known):
        yield from ({"type": "date"}, {"type": "timestamp"})
        return
    clock = any(":" in text for text in known)
    if not clock and re.fullmatch(r"[\d.]+", known[0]) and known[0].count(".") < 2:
        return
    forms = (
        _DATES[:-1]
        if not clock
        else tuple(f"{day}{gap}{time}" for day in (*_DATES[:-1], "%Y-%m-%d") for time in _CLOCKS for gap in (" ", ", "))
    )
    for form in forms:
        if "%y" in form and min(map(len, known)) < 6:
            continue  # a version number such as 1.2.3
        yield {"type": "timestamp" if clock else "date", "format": form}


def _try(cells: Any, counted: _Cells, contract: Mapping[str, Any]) -> Kind | None:
    """The column read so, unless cells are left that this reading cannot explain."""
    column = Column.model_validate(contract)
    checked = check_column(counted.texts, column, zone=_UTC)
    bad = checked.bad
    words, weights = counted.texts.filter(pa.array(bad)).to_pylist(), counted.counts[bad]
    good = counted.filled - int(weights.sum())
    distinct_good = len(counted.texts) - len(words)
    nothing = [word for word in words if word.strip().lower() in NOTHING]
    others = [(word, int(weight)) for word, weight in zip(words, weights, strict=True) if word.strip().lower() not in NOTHING]
    if not good or good < 0.3 * counted.filled:
        return None
    notes, own = list[str](), list[str]()
    left = sum(weight for _, weight in others)
    if (
        others
        and distinct_good >= 5
        and len(others) <= 2
        and not any(re.search(r"\d", word) for word, _ in others)
        and left <= 0.5 * good
    ):
        own = [word for word, _ in others]
        notes.append(f"{' and '.join(map(repr, own))} taken as no value ({left:,} cells)")
        left = 0
    if left > _BAD_CELLS * counted.rows or (left and distinct_good < 20):
        return None
    if left:
        notes.append(f"{left:,} cell{'s' if left > 1 else ''} such as {others[0][0][:20]!r} will be set aside")
    shared = [word for word in nothing if word and word == word.strip()]
    own += [word for word in nothing if word != word.strip()]
    values = _mapped(cells, counted, checked.values)
    said = dict(contract) | ({"nulls": own} if own else {})
    values, sentinels = _without_sentinels(values)
    if sentinels:
        said["nulls"] = [*said.get("nulls", []), *_spelled(sentinels, counted, checked.values)]
        notes.append(f"{', '.join(f'{one:g}' for one in sentinels)} taken as no value")
    if column.format and "%d" in column.format and _either_way(column.format, counted):
        notes.append("day and month cannot be told apart; read as " + column.format)
    if values.null_count:
        said["null"] = True
    return Kind(said, values, tuple(shared), left, tuple(notes))


def _mapped(cells: Any, counted: _Cells, values: Any) -> Any:
    """The values of all cells, from those of the distinct ones."""
    return values.take(pc.index_in(cells, counted.texts))


def _either_way(form: str, counted: _Cells) -> bool:
    """Whether the same cells can be read with day and month exchanged."""
    swapped = form.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
    if "%m" not in form or swapped == form or form == "%Y%m%d" or form.startswith("%Y"):
        return False
    kind = "timestamp" if "%M" in form else "date"
    return not check_column(counted.texts, Column.model_validate({"type": kind, "format": swapped}), zone=_UTC).bad.any()


def _without_sentinels(values: Any) -> tuple[Any, list[float]]:
    """Numbers that stand for 'no value': repeated, far from all others, and of nines or the like."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return values, []
    numbers = np.asarray(values.drop_null().cast(pa.float64(), safe=False))
    found: list[float] = []
    while len(found) < 2 and len(numbers) > 20:
        one = next((end for end in (numbers.min(), numbers.max()) if _is_sentinel(end, numbers)), None)
        if one is None:
            break
        found.append(float(one))
        numbers = numbers[numbers != one]
    if found:
        meant = pc.is_in(values, pa.array(found).cast(values.type))
        values = pc.if_else(meant, pa.scalar(None, values.type), values)
    return values, found


def _is_sentinel(value: float, numbers: Any) -> bool:
    others = numbers[numbers != value]
    repeated = len(numbers) - len(others)
    if repeated < max(3, 0.0005 * len(numbers)) or len(np.unique(others)) < 3:
        return False
    low, high = float(others.min()), float(others.max())
    gap = low - value if value < low else value - high
    nines = (
        bool(re.fullmatch(r"-?9+(\.9+)?|-?8{3,}|-?7{3,}|-200|-1e\+?\d+|1e\+?\d\d", f"{value:g}"))
        or f"{abs(value):.0f}".strip("9") == ""
    )
    if not nines or abs(value) < 9:
        return False
    return bool(gap >= max(high - low, 1e-9) or (value < 0 <= low and gap >= 9) or (value <= -99 and gap > 0.5 * (high - low)))


def _spelled(sentinels: Sequence[float], counted: _Cells, values: Any) -> list[str]:
    """How the sentinels are written in the source: -999 and -999.0 are two cells."""
    meant = pc.fill_null(pc.is_in(values.cast(pa.float64(), safe=False), pa.array(list(sentinels), pa.float64())), False)
    return list(dict.fromkeys(text.strip() for text in counted.texts.filter(meant).to_pylist()))


def _as_text(cells: Any, counted: _Cells) -> Kind:
    if _trim(counted):
        return _as_trimmed_text(cells)
    meant = [text for text in counted.texts.to_pylist() if text.strip().lower() in _NOTHING_IN_TEXT or not text.strip()]
    values = pc.if_else(pc.is_in(cells, pa.array(meant, pa.string())), pa.scalar(None, pa.string()), cells) if meant else cells
    said: dict[str, Any] = {"type": "text"}
    if values.null_count:
        said["null"] = True
    blank = [text for text in meant if text != text.strip() and not text.strip()]
    if blank:
        said["nulls"] = [" "]
    return Kind(said, values, tuple(text for text in meant if text.strip()))


def _as_trimmed_text(cells: Any) -> Kind:
    """A text whose outer spaces mean nothing. What means no value is the column's own affair: the source's words are compared
    with cells as they came."""
    bare = pc.utf8_trim_whitespace(cells)
    kind = _as_text(bare, _count(bare))
    nulls = {"nulls": list(kind.marks)} if kind.marks else {}
    said = {key: value for key, value in kind.contract.items() if key != "nulls"}
    return Kind({**said, **nulls, "trim": True}, kind.values, (), kind.bad, ("spaces around its values taken away",))


def _typed(cells: Any) -> Kind:
    """A column whose file says its type."""
    kind, null = cells.type, {"null": True} if cells.null_count else {}
    if pa.types.is_boolean(kind):
        return Kind({"type": "bool", **null}, cells)
    if (pa.types.is_integer(kind) and not pa.types.is_uint64(kind)) or pa.types.is_floating(kind):
        name = "int" if pa.types.is_integer(kind) else "float"
        numbers = cells.cast(pa.int64() if name == "int" else pa.float64())
        if name == "float":
            numbers = pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))
        values, sentinels = _without_sentinels(numbers)
        said = {"type": name} | ({"nulls": [f"{one:g}" for one in sentinels]} if sentinels else {})
        infinite = name == "float" and numbers.null_count > cells.null_count
        said |= {"nulls": [*said.get("nulls", []), "nan", "inf", "-inf"]} if infinite else {}
        return Kind(said | ({"null": True} if values.null_count else {}), values)
    if pa.types.is_decimal(kind) or pa.types.is_uint64(kind):
        return Kind({"type": "decimal", **null}, cells.cast(pa.float64()))
    if pa.types.is_date(kind):
        return Kind({"type": "date", **null}, cells.cast(pa.date32()))
    if pa.types.is_timestamp(kind):
        return Kind({"type": "timestamp", **null}, cells.cast(pa.timestamp("us", tz=kind.tz), safe=False))
    if pa.types.is_nested(kind):
        return Kind({"type": "json", **null}, cells)
    if pa.types.is_null(kind):
        return Kind({"type": "text", "null": True}, pa.nulls(len(cells), pa.string()), notes=("empty in every row",))
    return Kind({}, cells, notes=(f"{kind} has no place in a contract",))
