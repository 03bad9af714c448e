"""What the API promises: an OpenAPI document that is true of every answer, has an example of each, and within v1 only grows."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import pytest
import schemathesis
from bookkeeping import Ledger
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks

PINNED = Path(__file__).with_name("v1.json")


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        assert set(methods) == {"get"}, f"{path} takes something in"
        yield path, methods["get"]


def test_every_operation_has_examples_that_its_schema_allows(document: dict[str, Any]) -> None:
    def check(value: Any, schema: Mapping[str, Any], where: str) -> None:
        whole = {**schema, "components": document["components"]}
        checker = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())
        assert [error.message for error in checker.iter_errors(value)] == [], where

    for path, operation in operations(document):
        assert operation["summary"], path
        for parameter in operation.get("parameters", []):
            check(parameter["example"], parameter["schema"], f"{path} {parameter['name']}")
        for status, answer in operation["responses"].items():
            for kind, content in answer["content"].items():
                check(content["example"], content["schema"], f"{path} {status} {kind}")


def promises(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Every parameter, answer and field under v1, each beside its address or the name of its answer; none of it may change."""
    found = set()
    for path, operation in operations(document):
        if not path.startswith("/api/v1/"):
            continue
        for one in operation.get("parameters", []):
            found.add((path, f"takes {one['name']} in {one['in']}{', always' if one['required'] else ''}"))
        for status, answer in operation["responses"].items():
            for kind, content in answer["content"].items():
                found.add((path, f"answers {status} {kind} {_kind(content['schema'])}"))
    for name, schema in document["components"]["schemas"].items():
        found |= {(name, f"{field} is {_kind(one)}") for field, one in schema.get("properties", {}).items()}
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or "anything")


def test_v1_only_grows(document: dict[str, Any]) -> None:
    """To add what is new to the list: OVERNIGHT_PIN=1 pytest tests/web/test_promises.py"""
    kept: dict[str, list[str]] = json.loads(PINNED.read_text())
    pinned, now = {(name, one) for name, lines in kept.items() for one in lines}, promises(document)
    assert sorted(pinned - now) == [], "v1 has promised this; what replaces it stands beside it (docs/reference/web.md)"
    if os.environ.get("OVERNIGHT_PIN"):
        grown: dict[str, list[str]] = {}
        for name, one in sorted(pinned | now):
            grown.setdefault(name, []).append(one)
        text = ",\n".join(f"{json.dumps(name)}: {json.dumps(lines)}" for name, lines in grown.items())
        PINNED.write_text("{\n" + text + "\n}\n")
    elif now - pinned:
        pytest.fail(f"new in v1, and to be kept from now on: {sorted(now - pinned)}; {test_v1_only_grows.__doc__}")


def conform(client: TestClient, *, times: int) -> int:
    """Asks each operation that many times by values that its schema allows, and as often by values that it does not; returns
    how many answers were held against the document."""
    load_all_checks()
    names = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
             "response_headers_conformance", "unsupported_method")  # fmt: skip
    checks = [CHECKS.get_one(name) for name in names]
    promised = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    asked = 0

    def hold(case: schemathesis.Case) -> None:
        nonlocal asked
        told = case.as_transport_kwargs(base_url="http://testserver")
        answer = client.request(**{name: told.get(name) for name in ("method", "url", "params", "headers")})
        asked += 1
        case.validate_response(answer, checks=checks)

    for operation in promised.exclude(path="/events").get_all_operations():  # which ends when whoever asked goes away
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            with suppress(Unsatisfiable):  # what takes no parameter cannot be asked wrongly
                tried = given(case=operation.ok().as_strategy(generation_mode=mode))(hold)
                few = hypothesis.settings(max_examples=times, phases=[Phase.generate], database=None, derandomize=True,
                                          suppress_health_check=list(HealthCheck))  # fmt: skip
                few(tried)()
    return asked


def test_answers_are_what_the_document_says(published: Ledger, client: TestClient) -> None:
    assert conform(client, times=4) > 80


@pytest.mark.slow  # a thousand questions
def test_a_thousand_answers_are_what_the_document_says(published: Ledger, client: TestClient) -> None:
    assert conform(client, times=60) > 1000
