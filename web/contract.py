"""The API's OpenAPI document as it is promised: what FastAPI writes from the routes, with what each answer and each error
really is, and an example of every one."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from web.schemas import Problem

Schema = Mapping[str, Any]
FILES = {"csv": "text/csv", "ndjson": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}
PROBLEM = "application/problem+json"
ERRORS = {
    400: ("a value, a column or a cursor that cannot be", "stock: 'many' is no int, which column stock holds."),
    401: ("a token is asked for, and none that lets in was shown", "Reading needs a token."),
    404: ("nothing has this name, or none that this token sees", "There is no pipeline 'flihgts'; did you mean flights?"),
    410: ("its rows were pruned", "The rows of batch 7 were pruned."),
    414: ("the address is longer than 16 kB", "An address here is at most 16 kB long."),
    422: ("a parameter out of range", "limit: input should be less than or equal to 1000."),
    429: ("too often, or too many at once; Retry-After says when", "One token may ask 6000 times a minute; ask again in 2 s."),
    503: ("the database does not answer, or not in time", "Postgres does not answer. Try: overnight doctor"),
}  # fmt: skip
_LINES = "flight_id,probability\nAA1-JFK-20130204T0900,0.31\n"
_FILES_TOO = ("/api/v1/p/{pipeline}/rows", "/api/v1/p/{pipeline}/{interval}")  # to who accepts that first
_CONTENT: Mapping[str, Mapping[str, str]] = {  # what is no JSON, by path and media type, with an example
    "/metrics": {"text/plain": 'overnight_late{pipeline="flights"} 0\n'},
    "/events": {"text/event-stream": 'id: 8\nevent: published\ndata: {"pipeline": "flights"}\n\n'},
    "/api/v1/p/{pipeline}/rows.{form}": dict.fromkeys(FILES.values(), _LINES),
    "/api/v1/p/{pipeline}/{interval}.{form}": dict.fromkeys(FILES.values(), _LINES),
    "/api/v1/p/{pipeline}/models/{version}.{form}": {"text/markdown": "# flights, model version 5\n", "application/json": ""},
}
_FEW = {"/healthz": (429,), "/readyz": (), "/metrics": (401,), "/events": (401, 422, 429, 503)}
_NAMED: Mapping[str, Any] = {
    "pipeline": "flights", "night": "2013-02-04", "interval": "2013-02-04", "key": "AA1-JFK-20130204T0900", "version": 5,
    "form": "csv", "model_version": 5, "batch": 69, "input_batch": 68, "run": 34, "title": "Will this flight arrive late?",
    "state": "published",
    "owner": "ops@example.org", "verdict": "passed", "outcome": "passed", "metric": "roc_auc", "value": 0.71, "dummy": 0.5,
    "rows": 926, "rejected": 2, "predictions": 926, "total": 926, "fresh": True, "late": False, "late_since": None,
    "hindsight": "none", "hindsight_rows": 0, "todo": "", "reason": "Every night that was due is published.", "why": "Published.",
    "headline": "The night is published.", "columns": {"flight_id": "text", "probability": "float"}, "sort": "-probability",
    "as_of": "2013-02-05T08:00:00-05:00", "limit": 2, "after": "", "facets": "", "next": None, "task": "classification",
    "alias": "champion", "who": "nightly", "stage": "score", "trigger": "schedule", "kind": "prediction", "role": "champion",
    "name": "flips", "feature": "distance", "column": "distance", "rule": "distance is at least 1", "severity": "critical",
    "estimate": None, "diff": None, "rejects_pruned": None, "status": "ok", "detail": "", "last-event-id": "7",
    "start": "2013-02-04T00:00:00-05:00", "end": "2013-02-05T00:00:00-05:00",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "content_hash": "9f86d081", "code": "3f1c2ab",
}  # fmt: skip
_ROW = {"flight_id": "AA1-JFK-20130204T0900", "probability": 0.31}
_ASKED = {"columns": "flight_id,probability", "night": "latest", "metric": "roc_auc"}


def complete(document: Schema) -> dict[str, Any]:
    """A copy of FastAPI's document with answers, errors and examples filled in."""
    done = copy.deepcopy(dict(document))
    schemas = done["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = Problem.model_json_schema()
    done["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "made by `overnight token new NAME`; asked for off loopback"}
    }
    done["security"] = [{}, {"token": []}]
    for path, methods in done["paths"].items():
        for operation in methods.values():
            _parameters(operation, schemas)
            operation["responses"] = _answers(path, operation["responses"]["200"], schemas) | dict(_errors(path))
    return done


def _parameters(operation: dict[str, Any], schemas: Schema) -> None:
    for one in operation.get("parameters", ()):
        one["example"] = _ASKED.get(one["name"], example(one["schema"], schemas, name=one["name"]))


def _answers(path: str, answer: dict[str, Any], schemas: Schema) -> dict[str, Any]:
    if path in _CONTENT:
        card = {"schema": {"$ref": "#/components/schemas/ModelAnswer"}}
        answer["content"] = {
            kind: card if kind == "application/json" else {"schema": {"type": "string"}, "example": text}
            for kind, text in _CONTENT[path].items()
        }
    if path in _FILES_TOO:
        answer["content"] |= {kind: {"schema": {"type": "string"}, "example": _LINES} for kind in FILES.values()}
    for kind, content in answer["content"].items():
        if kind == "application/json":
            content["example"] = example(content["schema"], schemas)
    found = {"200": answer}
    if path == "/readyz":
        found["503"] = {**answer, "description": "the database does not answer, or was never migrated"}
    return found


def _errors(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for status in _FEW.get(path, tuple(ERRORS)):
        about, said = ERRORS[status]
        title = {"title": about[:1].upper() + about[1:], "status": status, "detail": said, "type": "about:blank"}
        content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": title}}
        yield str(status), {"description": about, "content": content}


def example(schema: Schema, schemas: Schema, *, name: str = "") -> Any:
    """A value that the schema allows: the one that is usual for a field of that name, or else one of its type."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas, name="")
    kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    usual = _NAMED.get(name)
    if name in _NAMED and (_fits(usual, kinds[0]) or (usual is None and len(kinds) < len(schema.get("anyOf", [])))):
        return usual
    return _of_type(kinds[0], schemas, name) if kinds else None


def _of_type(schema: Schema, schemas: Schema, name: str) -> Any:
    if "$ref" in schema:
        return example(schema, schemas)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {field: example(one, schemas, name=field) for field, one in schema["properties"].items()}
        case "object":
            return _ROW if name in ("rows", "values", "key") else {}
        case "array":
            inner = example(schema["items"], schemas, name=name)
            return [_ROW if inner == {} and name == "rows" else inner]
        case "string":
            return "2013-02-05T07:14:00Z" if schema.get("format") == "date-time" else schema.get("default", name)
        case "integer" | "number" as kind:
            return schema.get("default", 1 if kind == "integer" else 0.5)
        case "boolean":
            return schema.get("default", False)
    return None


def _fits(value: Any, schema: Schema) -> bool:
    if "$ref" in schema:
        return False
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kinds = {bool: ("boolean",), int: ("integer", "number"), float: ("number",), str: ("string",), dict: ("object",)}
    dated = schema.get("format") == "date-time" and not str(value)[:4].isdecimal()
    return schema.get("type", "") in ("", *kinds.get(type(value), ())) and not dated
