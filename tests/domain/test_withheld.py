"""What is a secret in an address or a header: refused where it stands as it is, and shown to nobody."""

import pytest
from pydantic import ValidationError

from domain.spec.source import Source
from domain.spec.telling import Tell
from domain.withheld import find_secrets, withhold, withhold_definition, withhold_hook

OPEN = [
    ("postgresql://u:hunter2@db/x", "password"),
    ("postgresql://u:p@hunter2@db/x", "password"),
    ("postgresql://u:p/hunter2@db/x", "password"),
    ("postgresql://u:12/hunter2@db:5432/x", "password"),
    ("redis://:hunter2@db/0", "password"),
    ("postgresql://u:${A}hunter2@db/x", "password"),
    ("postgresql://db/x?user=u&password=hunter2", "password"),
    ("postgresql://db/x?sslpassword=hunter2&user=u", "sslpassword"),
    ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Du%3BPWD%3Dhunter2", "odbc_connect"),
    ("mssql+pyodbc://db/x;pwd=hunter2", "pwd"),
    ("https://a.b/c?api_key=hunter2", "api_key"),
    ("https://a.b/c?page=1&apikey=hunter2#top", "apikey"),
    ("https://a.b/c?key=hunter2", "key"),
    ("https://a.b/c?access_token=hunter2", "access_token"),
    ("https://a.b/c#access_token=hunter2", "access_token"),
    ("https://a.b/c?client_secret=hunter2", "client_secret"),
    ("https://a.b/c?sv=2024&sig=hunter2", "sig"),
    ("https://a.b/x.csv?X-Amz-Date=1&X-Amz-Signature=hunter2", "X-Amz-Signature"),
    ("https://a.b/x.csv?X-Amz-Security-Token=hunter2", "X-Amz-Security-Token"),
    ("https://hunter2@a.b/x.csv", "token"),
    ("simplecache::https://a.b/x.csv?token=hunter2", "token"),
]
HARMLESS = [
    "", "{data}/x_{start:%Y-%m-%d}.csv", "data/part-?key=1.csv", "{postgres}/airline", "sqlite:////tmp/a@b.db",
    "postgresql://u@db:5432/x?sslmode=require&options=-c%20search_path%3Da", "postgresql://u:${PW}@db/x", "https://a.b:8080/c@d",
    "https://a.b/c?token=${TOKEN}&page=1", "https://a.b/c?api_key=${A}${B}", "https://a.b/c?page_token=first&tokenize=yes",
    "https://a.b/c?from={start:%Y-%m-%d}&primary_key=id&sort=-key", "s3://bucket/key=1/x.csv", "https://a.b/c?password=",
    "mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3D%24%7BPW%7D",
]  # fmt: skip
OPEN_HEADERS = [
    {"Authorization": "Bearer hunter2"}, {"X-Api-Key": "hunter2"}, {"Cookie": "session=hunter2"}, {"X-Vault-Token": "hunter2"},
    {"Client-Secret": "hunter2"}, {"X-Odd": "Bearer hunter2"}, {"Authorization": "Bearer ${A} hunter2"},
    {"Proxy-Authorization": "Basic aHVudGVyMg=="},
]  # fmt: skip
CLOSED_HEADERS = [
    {"Authorization": "Bearer ${TOKEN}"}, {"Authorization": "${A}"}, {"Cookie": "a=${A}; b=${B}"}, {"Accept": "application/json"},
    {"X-Api-Key": "${A}"}, {"Authorization": 'Token token="${A}"'},
]  # fmt: skip
OPEN_HOOKS = [
    "https://hooks.slack.com/services/T0/B0/hunter2", "https://discord.com/api/webhooks/1/hunter2",
    "https://example.org/hook?token=hunter2", "https://u:hunter2@example.org/hook",
    "https://example.org/in/0f8fad5b-d9cb-469f-a165-70867728950e/hunter2",
]  # fmt: skip


@pytest.mark.parametrize(("address", "name"), OPEN)
def test_a_secret_as_it_is_belongs_in_no_file(address: str, name: str) -> None:
    (found,) = find_secrets(address)
    assert (found.name, "hunter2" in address[found.start : found.end]) == (name, True)
    assert "hunter2" not in withhold(address)
    assert find_secrets(withhold(address)) == ()
    key, rest = ("url", {"kind": "sql", "query": "select 1"}) if "sql" in address else ("path", {"kind": "csv"})
    with pytest.raises(ValidationError, match=r"does not belong in a file; write \$\{NAME\}"):
        Source(**{key: address, **rest})  # type: ignore[arg-type]


@pytest.mark.parametrize("address", HARMLESS)
def test_what_is_no_secret_stays_as_it_is(address: str) -> None:
    assert find_secrets(address) == ()
    assert withhold(address) == address


@pytest.mark.parametrize("headers", OPEN_HEADERS)
def test_a_header_that_is_secret_is_written_by_name(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=f"secret in {next(iter(headers))} does not belong in a file"):
        Source(kind="http", url="https://a.b/c", headers=headers)
    shown = withhold_definition({"source": {"url": "https://a.b/c", "headers": headers}})
    assert "hunter2" not in str(shown)
    assert "aHV" not in str(shown)


@pytest.mark.parametrize("headers", CLOSED_HEADERS)
def test_a_header_that_names_its_secret_is_taken_and_shown(headers: dict[str, str]) -> None:
    source = Source(kind="http", url="https://a.b/c", headers=headers)
    assert withhold_definition({"source": source.model_dump()})["source"]["headers"] == headers


@pytest.mark.parametrize("address", OPEN_HOOKS)
def test_a_hook_that_lets_everybody_write_is_written_by_name(address: str) -> None:
    with pytest.raises(ValidationError, match="does not belong in a file"):
        Tell(webhook=address)
    assert "hunter2" not in withhold_hook(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [("${HOOK}", "${HOOK}"), ("https://example.org", "https://example.org"), ("https://example.org/", "https://example.org/"),
     ("https://example.org/hooks/flights", "https://example.org/${WITHHELD}"), ("https://example.org/${HOOK}", "https://example.org/${HOOK}"),
     ("https://hooks.slack.com/services/${PATH}", "https://hooks.slack.com/${WITHHELD}")],
)  # fmt: skip
def test_readers_see_where_a_hook_goes_and_nothing_behind_that(address: str, shown: str) -> None:
    assert withhold_hook(Tell(webhook=address).webhook) == shown
    assert Tell(webhook=shown).webhook == withhold_hook(shown)
