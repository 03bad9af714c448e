"""What a language model is told: the same trust line as the web's, with every number, and a sentence where there is none."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from cli.mcp import mcp as mcp_command
from domain.errors import UsageError
from infra.settings import Settings
from store.reads.connection import Reader
from web.access import Guest
from web.mcp import WITH_IT, make_server

Call = Callable[..., dict[str, Any]]
TOOLS = {"list_pipelines", "get_prediction", "find_predictions", "get_history", "get_night", "get_quality", "get_model_card"}


class Refused(Exception):
    """What the model is told instead of an answer."""


def read(result: Any) -> dict[str, Any]:
    text = result.content[0].text
    if result.is_error:
        raise Refused(text)
    assert result.structured_content == json.loads(text), "clients that read the text alone are told the same"
    return result.structured_content


@pytest.fixture
def reader(settings: Settings) -> Iterator[Reader]:
    reader = Reader(settings.reader_url or "", size=2)
    reader.open()
    yield reader
    reader.close()


@pytest.fixture
def call(reader: Reader, clock: Callable[[], datetime]) -> Call:
    """Asks a server in this process, with the clock that the web beside it has; as the guest of some pipelines or of all."""

    def asked(tool: str, guest: Guest = Guest("everybody"), **arguments: Any) -> dict[str, Any]:
        async def once() -> Any:
            async with Client(make_server(reader, now=clock, guest=guest)) as client:
                return await client.call_tool(tool, arguments)

        return read(anyio.run(once))

    return asked


@pytest.fixture
def shown(client: TestClient) -> Callable[[str], str]:
    """The trust line that the web has for the same question."""
    return lambda path: client.get(f"/api/v1/p/shops{path}").headers["Overnight-Trust"]


def test_a_client_that_starts_the_command_is_told_of_late_numbers_that_they_are_late(
    published: Ledger, role_url: Callable[[str], str], tmp_path: Path
) -> None:
    """Over stdin and stdout, with the reader's address and nothing else, long after the deadline of the next night."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "cli.main", "mcp"], cwd=Path(__file__).parents[2],
        env={"OVERNIGHT_READER_URL": role_url("reader"), "OVERNIGHT_HOME": str(tmp_path / "home")},
    )  # fmt: skip

    async def session() -> None:
        async with Client(server, read_timeout_seconds=300) as client:
            assert WITH_IT in (client.instructions or "")
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == TOOLS
            assert [
                tool.name for tool in tools if WITH_IT not in (tool.description or "") or not tool.annotations.read_only_hint
            ] == []
            told = read(await client.call_tool("get_prediction", {"pipeline": "shops", "key": "s000003"}))
            assert told["values"]["prediction"] is True
            assert told["trust_line"].startswith("shops 2024-01-04; batch ")
            assert "late since 2024-01-06 07:00 CET; passed with rejects" in told["trust_line"]
            assert "Readers keep the night of 2024-01-04." in told["why"]
            with pytest.raises(Refused, match=r"there is no pipeline 'shop'; did you mean shops\?"):
                read(await client.call_tool("get_prediction", {"pipeline": "shop", "key": "s000003"}))

    anyio.run(session)
    assert not (tmp_path / "home").exists(), "no other database was made"


def test_a_number_comes_with_the_line_that_the_web_says_of_it(published: Ledger, call: Call, shown: Callable[[str], str]) -> None:
    then = datetime.now(UTC).isoformat()
    for night in ("latest", "2024-01-03"):
        told = call("get_prediction", pipeline="shops", key="s000003", night=night)
        assert told["trust_line"] == shown(f"/rows?night={night}")
        assert next(iter(told)) == "trust_line"
    assert told["values"]["shop"] == "s000003"
    published.publish("2024-01-04", model=1, rows=20, salt="again")
    told = call("get_prediction", pipeline="shops", key="s000050", as_of=then)
    assert told["trust_line"] == shown(f"/rows?as_of={then.replace('+', '%2B')}")
    assert told["why"].startswith("As readers saw it at ")
    with pytest.raises(Refused, match="shops 2024-01-04 has no row of shop s000050; other nights may have one"):
        call("get_prediction", pipeline="shops", key="s000050")


def test_a_night_that_is_held_gives_its_reason_and_no_number(
    published: Ledger, call: Call, clock: Any, shown: Callable[[str], str]
) -> None:
    published.hold("2024-01-05")
    clock.now = datetime(2024, 1, 6, 12, tzinfo=UTC)
    told = call("get_prediction", pipeline="shops", key="s000003", night="2024-01-05")
    assert told["values"] is None
    assert told["trust_line"] == shown("/rows?night=2024-01-05")
    assert "not published; late since" in told["trust_line"]
    assert "7.2 % of stock is empty" in told["why"]
    night = call("get_night", pipeline="shops", night="2024-01-05")
    assert night["night"]["state"] == "held"
    assert night["verdict"] == "held: 7.2 % of stock is empty, limit 2 %"
    assert night["failed_rules"] == ["region is there: 3 of 60 rows have no region"]
    kept = call("get_prediction", pipeline="shops", key="s000003")
    assert kept["night"] == "2024-01-04"
    assert kept["trust_line"] == shown("/rows")
    assert "is held" in kept["why"]
    assert "Readers keep the night of 2024-01-04." in kept["why"]


def test_predictions_are_found_by_conditions_and_counted(published: Ledger, call: Call) -> None:
    told = call("find_predictions", pipeline="shops", where={"region": "north", "stock__gt": 10}, sort="-probability", limit=3)
    assert [row["region"] for row in told["rows"]] == ["north"] * 3
    chances = [row["probability"] for row in told["rows"]]
    assert chances == sorted(chances, reverse=True)
    assert (told["total"], told["more"]) == (66, True)
    assert list(call("find_predictions", pipeline="shops", columns=["shop", "price"])["rows"][0]) == ["shop", "price"]


def test_each_night_of_a_history_has_its_own_line(published: Ledger, call: Call, shown: Callable[[str], str]) -> None:
    told = call("get_history", pipeline="shops", key="s000003")
    assert [one["night"] for one in told["nights"]] == ["2024-01-04", "2024-01-03"]
    assert [one["trust_line"] for one in told["nights"]] == [
        shown(f"/rows?night={night}") for night in ("2024-01-04", "2024-01-03")
    ]
    assert len(call("get_history", pipeline="shops", key="s000003", limit=1)["nights"]) == 1


def test_quality_stands_beside_the_dummy_and_a_model_beside_its_figures(
    published: Ledger, call: Call, shown: Callable[[str], str]
) -> None:
    told = call("get_quality", pipeline="shops")
    (figure,) = told["figures"]
    assert (figure["figure"]["value"], figure["figure"]["dummy"]) == (0.71, 0.5)
    assert figure["trust_line"] == shown("/rows?night=2024-01-03")
    card = call("get_model_card", pipeline="shops")
    assert (card["version"], card["champion"], card["nights_scored"], card["rows_scored"]) == (1, True, 2, 126)
    assert card["measured"] == [{"metric": "roc_auc", "own": 0.74, "low": None, "high": None, "champion": None, "dummy": None}]
    with pytest.raises(Refused, match=r"shops has no model version 9\. Try: overnight models shops"):
        call("get_model_card", pipeline="shops", version=9)


def test_the_morning_names_each_pipeline_with_its_line(published: Ledger, call: Call, shown: Callable[[str], str]) -> None:
    told = call("list_pipelines")
    (shops,) = told["pipelines"]
    assert shops["trust_line"] == shown("")
    assert (shops["question"], shops["key"]) == ("Will this shop sell out today?", ["shop"])
    assert told["headline"] == "The night is published."


def test_who_may_see_some_pipelines_is_told_of_no_other(published: Ledger, call: Call) -> None:
    stranger = Guest("mcp", frozenset({"flights"}))
    assert call("list_pipelines", guest=stranger)["pipelines"] == []
    with pytest.raises(Refused, match="there is no pipeline 'shops'; none is registered yet"):
        call("get_prediction", guest=stranger, pipeline="shops", key="s000003")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "key: field required."),
        ({"key": "s1", "night": "soon"}, "'soon' is not an interval; write it as 2024-01-01"),
        ({"key": "s\x00"}, "NUL character"),
        ({"key": "s1", "as_of": "yesterday"}, "'yesterday' is no moment; write it as"),
        ({"key": "x" * 600}, "key: string should have at most 500 characters."),
    ],
)
def test_what_is_wrong_with_a_question_is_a_sentence(
    published: Ledger, call: Call, arguments: dict[str, str], sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        call("get_prediction", pipeline="shops", **arguments)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "Error executing" not in str(refused.value)


def test_a_database_that_is_away_is_a_sentence(clock: Callable[[], datetime]) -> None:
    away = Reader("postgresql://nobody@127.0.0.1:1/none", size=1)
    away.open()

    async def once() -> str:
        async with Client(make_server(away, now=clock)) as client:
            return (await client.call_tool("list_pipelines", {})).content[0].text  # type: ignore[union-attr]

    assert anyio.run(once) == "Postgres does not answer. Try: overnight doctor"
    away.close()


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"the package mcp is not installed. Try: pip install 'overnight\[mcp\]'"):
        mcp_command()
