"""What is secret in the address that `overnight new` is given ends in the environment, and in no file."""

import os
from pathlib import Path

import pytest

from domain.spec.source import Source
from tasks.onboarding.place import find_place


@pytest.mark.parametrize(
    ("said", "written", "variables"),
    [
        ("postgresql://db/x?user=u&password=hunter2", "postgresql://db/x?user=u&password=${SHOP_PASSWORD}",
         {"SHOP_PASSWORD": "hunter2"}),
        ("postgresql://u:p@ssw0rd@db/x", "postgresql://u:${SHOP_PASSWORD}@db/x", {"SHOP_PASSWORD": "p@ssw0rd"}),
        ("postgresql://u:${MINE}@db/x", "postgresql://u:${MINE}@db/x", {}),
        ("https://a.b/x.csv?token=hunter2&day=1", "https://a.b/x.csv?token=${SHOP_TOKEN}&day=1", {"SHOP_TOKEN": "hunter2"}),
        ("https://u:hunter2@a.b/{x}.csv?api-key=k1", "https://u:${SHOP_PASSWORD}@a.b/{{x}}.csv?api-key=${SHOP_API_KEY}",
         {"SHOP_PASSWORD": "hunter2", "SHOP_API_KEY": "k1"}),
    ],
)  # fmt: skip
def test_secrets_become_variables(monkeypatch: pytest.MonkeyPatch, said: str, written: str, variables: dict[str, str]) -> None:
    for variable in ("SHOP_PASSWORD", "SHOP_TOKEN", "SHOP_API_KEY"):
        monkeypatch.setenv(variable, "")  # so that it is put back afterwards
        monkeypatch.delenv(variable)
    place = find_place(said, name="shop", data=Path("/nowhere"), table="t" if said.startswith("postgresql") else None)
    source = place.to_source("snapshot")
    assert source.get("url", source.get("path")) == written
    assert Source(**source)
    assert place.secrets == tuple(variables)
    assert {name: os.environ.get(name) for name in variables} == variables
    assert not any(value in place.said for value in variables.values())
