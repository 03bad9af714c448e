"""The API's documentation, drawn from its OpenAPI document by our own template: nothing comes from another host."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from web.api import edge_of
from web.contract import complete

router = APIRouter(include_in_schema=False)


def document_of(request: Request) -> dict[str, Any]:
    """Made once for each process."""
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = complete(request.app.openapi())
    found: dict[str, Any] = state.document
    return found


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    return Response(json.dumps(document_of(request), indent=1), media_type="application/json")


@router.get("/docs")
def docs(request: Request) -> Response:
    document = document_of(request)
    page = edge_of(request).pages.get_template("docs.html").render(
        title=document["info"]["title"], version=document["info"]["version"], intro=document["info"]["description"],
        operations=_operations(document), path=request.scope["path"], trusts=(),
    )  # fmt: skip
    return Response(page, media_type="text/html")


@router.get("/docs/answers")
def answers(request: Request) -> Response:
    """On a page of its own, because it grows with every field."""
    schemas = document_of(request)["components"]["schemas"]
    page = edge_of(request).pages.get_template("docs_answers.html").render(
        schemas=[_schema(name, body) for name, body in sorted(schemas.items())], path=request.scope["path"], trusts=()
    )  # fmt: skip
    return Response(page, media_type="text/html")


def _operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    readers_first = sorted(document["paths"].items(), key=lambda one: (not one[0].startswith("/api/"), one[0].count("/"), one[0]))
    return [
        {
            "path": path, "method": method.upper(), "summary": operation.get("summary", ""),
            "description": operation.get("description", ""), "parameters": operation.get("parameters", []),
            "answer": _answer(operation), "example": _example(path, operation),
        }
        for path, methods in readers_first
        for method, operation in methods.items()
    ]  # fmt: skip


def _example(path: str, operation: Mapping[str, Any]) -> str:
    """An address that asks for something, with the examples of its parameters."""
    asked = {one["name"]: one["example"] for one in operation.get("parameters", []) if one["in"] == "query" and one["example"]}
    named = {one["name"]: quote(str(one["example"])) for one in operation.get("parameters", []) if one["in"] == "path"}
    few = {name: value for name, value in asked.items() if name in ("limit", "sort", "columns")}
    return path.format(**named) + (f"?{urlencode(few, safe=',')}" if few else "")


def _answer(operation: Mapping[str, Any]) -> str:
    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).rsplit("/", 1)[-1]


def _schema(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    fields = [
        {"name": field, "type": type_words(spec), "about": spec.get("description", "")}
        for field, spec in body.get("properties", {}).items()
    ]
    return {"name": name, "about": body.get("description", ""), "fields": fields}


def type_words(spec: Mapping[str, Any]) -> str:
    """A JSON Schema's type in a few words."""
    if "$ref" in spec:
        return str(spec["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in spec:
        return " or ".join(type_words(one) for one in spec["anyOf"])
    if spec.get("type") == "array":
        return f"list of {type_words(spec.get('items', {}))}"
    return str(spec.get("format") or spec.get("type") or "anything")
