"""`overnight scoreboard` as a person types it."""

import json

from tests.cli.conftest import Home


def test_the_scoreboard_shows_what_each_night_was_worth_beside_the_dummy(published: Home) -> None:
    said = published.say("scoreboard", "shops", "--json")
    assert said.code == 0, said.err
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [(line["role"], line["metric"]) for line in lines] == [("champion", "roc_auc")]
    assert 0.4 < lines[0]["value"] <= 1
    table = published.say("scoreboard", "shops").out
    assert "2024-01-03" in table
    assert f"{lines[0]['value']:.4f}" in table


def test_what_cannot_be_shown_is_a_sentence(published: Home) -> None:
    unknown = published.say("scoreboard", "shop")
    assert (unknown.code, "the ledger knows no pipeline 'shop'" in unknown.err) == (2, True)
    none = published.say("scoreboard", "shops", "--metric", "mae")
    assert (none.code, "0 lines" in none.out) == (0, True)
