"""Values as people write them: 2%, 60 days, 512m, Europe/Berlin."""

import re
from datetime import time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
RESERVED = frozenset({"overnight", "reading", "public", "information_schema"})
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


Percent = Annotated[str, Field(pattern=r"^\s*[0-9.]+\s*%\s*$")]
Ago = Annotated[str, Field(pattern=r"^[0-9]+ (day|week|month|year)s?$")]
ClockText = Annotated[str, Field(pattern=r"^[0-9]{1,2}:[0-9]{2}$")]
MemoryText = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)? ?[kmgKMG][iI]?[bB]?$")]
DurationText = Annotated[str, Field(pattern=r"^[0-9]+ ?(s|m|h|second|minute|hour)s?$")]


def _share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    return value


def _days(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return timedelta(days=value)
    match = re.fullmatch(r"(\d+) (day|week|month|year)s?", value) if isinstance(value, str) else None
    return timedelta(days=int(match[1]) * _DAYS[match[2]]) if match else value


def _zone(value: object) -> object:
    try:
        return ZoneInfo(value) if isinstance(value, str) else value
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{value!r} is no time zone; write one such as Europe/Berlin") from None


def _clock(value: object) -> object:
    return f"0{value}" if isinstance(value, str) and re.fullmatch(r"\d:\d\d", value) else value


def _name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError(f"{value!r} is no pipeline name; use lower-case letters, digits and _, at most 40")
    if value in RESERVED or value.startswith(("pg_", "overnight_")):
        raise ValueError(f"{value!r} is a name that the database keeps for itself")
    return value


_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "s": 1, "second": 1, "minute": 60, "hour": 3600, "h": 3600}


def _memory(value: object) -> object:
    if isinstance(value, int) and value >= _UNITS["m"]:
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg])i?b?", value.lower()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no amount of memory; write it as 512m or 2g")
    return int(float(match[1]) * _UNITS[match[2]])


def _duration(value: object) -> object:
    if isinstance(value, timedelta) or (isinstance(value, str) and value.startswith("PT")):
        return value
    match = re.fullmatch(r"(\d+) ?(s|m|h|second|minute|hour)s?", value) if isinstance(value, str) else None
    if match is None or match[1] == "0":
        raise ValueError(f"{value!r} is no length of time; write it as 90s, 30m or 1h")
    return timedelta(seconds=int(match[1]) * (60 if match[2] == "m" else _UNITS[match[2]]))


# What an editor is told may stand there, beside what Python makes of it.
Share = Annotated[float, BeforeValidator(_share, json_schema_input_type=float | Percent), Field(ge=0, le=1)]
Change = Annotated[float, BeforeValidator(_share, json_schema_input_type=float | Percent), Field(ge=0)]
Days = Annotated[timedelta, BeforeValidator(_days, json_schema_input_type=int | Ago)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone, json_schema_input_type=str)]
Clock = Annotated[time, BeforeValidator(_clock, json_schema_input_type=ClockText)]
Memory = Annotated[int, BeforeValidator(_memory, json_schema_input_type=int | MemoryText)]
Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=DurationText)]
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME.pattern})]


class Strict(BaseModel):
    """A section: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)
