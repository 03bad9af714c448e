"""A reader can always tell whether a number may be trusted: the trust line in every state that a pipeline can be in."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from deployments.catalogue import Definition
from domain.errors import UsageError
from infra.settings import Settings
from store.runs import claim
from tasks.export import export
from tasks.holding import hold, release
from tasks.waiving import waive

PATHS = [
    "/", "/p/shops", "/p/shops/2024-01-04", "/p/shops/latest", "/p/shops/models/1", "/p/shops/rows", "/p/shops/key/s000003",
]  # fmt: skip


def test_nothing_was_ever_published_and_it_is_late_since_the_first_deadline(shops: Definition, ask: Callable) -> None:
    trust = ask("/p/shops")["trust"]
    assert (trust["fresh"], trust["batch"], trust["interval"]) == (False, None, None)
    assert trust["late_since"] == "2024-01-02T07:00:00+01:00"
    assert trust["reason"].endswith("There is nothing to read yet.")
    assert ask("/")["pipelines"][0]["state"] == "never published"
    assert ask("/")["pipelines"][0]["todo"] == "overnight run shops --interval 2024-01-01"


def test_before_the_first_deadline_nothing_is_late(shops: Definition, ask: Callable, clock: Callable) -> None:
    clock.now = datetime(2024, 1, 1, 12, tzinfo=UTC)
    trust = ask("/p/shops")["trust"]
    assert trust["fresh"]
    assert trust["reason"] == "Nothing was ever published, and nothing is due yet."


def test_every_night_published_is_fresh(published: Ledger, ask: Callable) -> None:
    trust = ask("/p/shops")["trust"]
    assert trust["fresh"]
    assert trust["late_since"] is None
    assert trust["verdict"] == "passed with rejects"
    assert trust["model_version"] == 1
    assert trust["reason"] == "Every night that was due is published."
    assert ask("/")["headline"] == "The night is published."


@pytest.mark.parametrize(
    ("days", "sentence"),
    [(["2024-01-01", "2024-01-03", "2024-01-04"], "1 earlier night is not: 2024-01-02."),
     (["2024-01-01", "2024-01-04"], "2 earlier nights are not, first 2024-01-02."),
     (["2024-01-02", "2024-01-03", "2024-01-04"], "")],
)  # fmt: skip
def test_a_night_left_out_between_published_ones_is_named(ledger: Ledger, ask: Callable, days: list[str], sentence: str) -> None:
    model = ledger.train("2024-01-01")
    for day in days:
        ledger.publish(day, model=model)
    trust = ask("/p/shops")["trust"]
    assert trust["fresh"]
    rest = f"The newest night that was due is published; {sentence}" if sentence else "Every night that was due is published."
    assert trust["reason"] == rest


def test_the_champion_is_the_one_that_holds_from_the_latest_night_on(ledger: Ledger, ask: Callable) -> None:
    ledger.publish("2024-01-04", model=ledger.train("2024-01-04"))
    ledger.train("2024-01-02")
    assert ask("/p/shops/models/1")["champion"]
    assert not ask("/p/shops/models/2")["champion"]


def test_nights_without_a_model_are_learning_and_not_late(ledger: Ledger, ask: Callable) -> None:
    for day in ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"):
        ledger.publish(day)
    answer = ask("/p/shops")
    assert answer["summary"]["state"] == "learning"
    assert answer["trust"]["fresh"]
    assert answer["trust"]["batch"] is None
    assert answer["trust"]["reason"].startswith("Learning: ")


def test_a_held_night_leaves_the_old_numbers_with_the_sentence_why(published: Ledger, ask: Callable, clock: Callable) -> None:
    before = ask("/p/shops/rows")
    published.hold("2024-01-05")
    clock.now = datetime(2024, 1, 6, 5, 59, tzinfo=UTC)
    at_dawn = ask("/p/shops/rows")
    assert at_dawn["rows"] == before["rows"]
    assert at_dawn["trust"]["fresh"]
    assert at_dawn["trust"]["reason"] == (
        "The night of 2024-01-05 is held: 7.2 % of stock is empty, limit 2 %. Readers keep the night of 2024-01-04."
    )
    clock.now = datetime(2024, 1, 6, 6, 0, tzinfo=UTC)
    late = ask("/p/shops/rows")
    assert late["rows"] == before["rows"]
    assert late["trust"]["late_since"] == "2024-01-06T07:00:00+01:00"
    assert "7.2 % of stock is empty" in late["trust"]["reason"]
    assert ask("/")["pipelines"][0]["state"] == "held"


def test_a_held_night_says_that_it_is_held_and_why_in_the_same_words_everywhere(
    published: Ledger, client: TestClient, settings: Settings, clock: Callable, tmp_path: Path
) -> None:
    published.hold("2024-01-05", "7.2 % of stock is empty, limit 2 %; 26,398 rows")
    words = "held: 7.2 % of stock is empty - limit 2 % - 26398 rows"
    for path in ("/p/shops/2024-01-05", "/p/shops/2024-01-05/verdict", "/p/shops/rows?night=2024-01-05"):
        page, answer = client.get(path), client.get(f"/api/v1{path}")
        assert page.headers["overnight-trust"] == answer.headers["overnight-trust"]
        assert page.headers["overnight-trust"].endswith(f"not published; fresh; {words}")
        assert f"<span>{words}</span>" in page.text
        trust = answer.json()["trust"]
        assert (trust["verdict"], trust["batch"]) == ("held", None)
        assert trust["reason"] == "7.2 % of stock is empty, limit 2 %; 26,398 rows."
    for path in ("/api/v1/p/shops/2024-01-05.csv", "/api/v1/p/shops/rows.parquet?night=2024-01-05"):
        refused = client.get(path)
        assert (refused.status_code, words in refused.json()["detail"].replace("Held:", "held:")) == (404, True)
    with pytest.raises(UsageError, match=re.escape(words)):
        export(settings, "shops", tmp_path / "x.csv", night="2024-01-05", as_of=None, now=clock())


def test_what_was_held_after_readers_saw_it_says_so_and_why_wherever_it_is_shown(
    published: Ledger, client: TestClient, settings: Settings, ask: Callable, clock: Callable, tmp_path: Path
) -> None:
    ada = {"who": "ada", "holder": {"pid": 1}}
    hold(published.definition, published.night("2024-01-04"), settings, why="prices, in cents", **ada)
    words = "held: by ada: prices - in cents"
    for path in ("/p/shops", "/p/shops/2024-01-04", "/p/shops/2024-01-04/verdict", "/p/shops/rows", "/p/shops/key/s000003"):
        page = client.get(path)
        assert page.headers["overnight-trust"].endswith(f"; fresh; {words}"), path
        assert f"<span>{words}</span>" in page.text
        assert '<div class="trust is-late"' in page.text
    one = ask("/")["pipelines"][0]
    assert (one["state"], one["todo"]) == ("held", "overnight release shops 2024-01-04 --why …")
    assert one["trust"]["reason"] == "Readers keep the night of 2024-01-04, which is held: by ada: prices, in cents."
    night = ask("/p/shops/2024-01-04")
    assert (night["night"]["state"], len(night["rows"])) == ("held", 12)
    assert night["trust"]["reason"] == "Published, and held since: by ada: prices, in cents; readers go on seeing it."
    assert ask("/p/shops/key/s000003")["held_nights"] == [], "readers see something of it"
    assert words in client.get("/p/shops/feed.atom").text
    assert words in client.get("/p/shops/rows.csv?trust=yes").text.splitlines()[0]
    file = tmp_path / "newest.csv"
    export(settings, "shops", file, night=None, as_of=None, now=clock.now, comment=True)
    assert file.read_text().splitlines()[0].endswith(words)
    release(published.definition, published.night("2024-01-04"), settings, why="they are euros", **ada)
    assert ask("/p/shops")["trust"]["verdict"] == "passed with rejects"


def test_a_first_night_that_is_held_says_so_before_anything_was_ever_published(
    ledger: Ledger, ask: Callable, clock: Callable
) -> None:
    ledger.hold("2024-01-01")
    trust = ask("/p/shops")["trust"]
    assert (trust["verdict"], trust["batch"], trust["interval"]) == ("held", None, None)


def test_late_when_everything_that_orchestrates_is_dead(published: Ledger, ask: Callable, clock: Callable) -> None:
    clock.now = datetime(2024, 1, 9, 12, tzinfo=UTC)
    answer = ask("/p/shops")
    assert answer["trust"]["late_since"] == "2024-01-06T07:00:00+01:00"
    assert answer["trust"]["batch"] is not None
    assert [night["state"] for night in answer["nights"][-4:]] == ["missing"] * 4
    assert answer["summary"]["todo"] == "overnight run shops --interval 2024-01-05"


def test_the_next_morning_s_deadline_is_not_asked_for_before_it_comes(published: Ledger, ask: Callable, clock: Callable) -> None:
    clock.now = datetime(2024, 1, 6, 5, 0, tzinfo=UTC)
    answer = ask("/p/shops")
    assert answer["trust"]["fresh"]
    assert answer["nights"][-1]["state"] == "waiting"


def test_a_run_whose_process_is_gone_does_not_look_fine(published: Ledger, ask: Callable, clock: Callable) -> None:
    published.abandon("2024-01-05")
    clock.now = datetime(2024, 1, 6, 5, 0, tzinfo=UTC)
    answer = ask("/p/shops")
    assert answer["summary"]["state"] == "stopped"
    assert "is gone" in answer["trust"]["reason"]
    assert answer["summary"]["todo"] == "overnight run shops --interval 2024-01-05"


def test_a_run_whose_process_lives_is_running(published: Ledger, ask: Callable, clock: Callable) -> None:
    clock.now = datetime(2024, 1, 6, 5, 0, tzinfo=UTC)
    night = published.night("2024-01-05")
    with claim(published.writer, "shops", night, trigger="test", holder={"pid": 1}):
        assert ask("/p/shops")["summary"]["state"] == "running"
        assert ask("/p/shops/2024-01-05")["night"]["state"] == "running"


def test_a_failed_night_says_what_failed(published: Ledger, ask: Callable, clock: Callable) -> None:
    published.fail("2024-01-05")
    clock.now = datetime(2024, 1, 6, 7, 0, tzinfo=UTC)
    answer = ask("/p/shops")
    assert answer["summary"]["state"] == "failed"
    assert "no file matches data/shops.csv" in answer["trust"]["reason"]


def test_a_rerun_that_is_held_leaves_the_night_published_and_says_so(published: Ledger, ask: Callable) -> None:
    published.hold("2024-01-04", "all rows are bad")
    night = ask("/p/shops/2024-01-04")
    assert night["night"]["state"] == "published"
    assert night["trust"]["reason"] == "Published. A newer run was held (all rows are bad); readers keep what was published."
    assert len(night["rows"]) > 0


def test_one_night_is_late_by_its_own_deadline(published: Ledger, ask: Callable, clock: Callable) -> None:
    assert ask("/p/shops/2024-01-05")["trust"]["late_since"] is None
    clock.now = datetime(2024, 1, 8, tzinfo=UTC)
    assert ask("/p/shops/2024-01-05")["trust"]["late_since"] == "2024-01-06T07:00:00+01:00"
    assert ask("/p/shops/2024-01-03")["trust"]["fresh"]


@pytest.mark.parametrize("path", PATHS)
def test_page_and_api_and_header_say_the_same_trust_line(published: Ledger, client: TestClient, path: str) -> None:
    page, answer = client.get(path), client.get(f"/api/v1{path}")
    assert page.status_code == answer.status_code == 200
    assert page.headers["overnight-trust"] == answer.headers["overnight-trust"]
    for word in page.headers["overnight-trust"].split("; "):
        assert f"<span>{word}</span>" in page.text
    trust = answer.json()["trust"]
    assert set(trust[0] if path == "/" else trust) == {
        "pipeline", "interval", "batch", "model_version", "published_at", "fresh", "late_since", "verdict", "reason",
        "hindsight", "hindsight_rows",
    }  # fmt: skip


def test_an_unchanged_answer_costs_the_asker_nothing_and_a_publication_ends_that(published: Ledger, client: TestClient) -> None:
    tag = client.get("/p/shops/rows").headers["etag"]
    again = client.get("/p/shops/rows", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    published.publish("2024-01-04", model=1, salt="corrected", shift=0.01)
    changed = client.get("/p/shops/rows", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"].startswith('W/"p')


def test_a_deadline_that_passes_changes_the_tag(published: Ledger, client: TestClient, clock: Callable) -> None:
    tag = client.get("/p/shops").headers["etag"]
    clock.now = datetime(2024, 1, 6, 6, 0, tzinfo=UTC)
    late = client.get("/p/shops", headers={"If-None-Match": tag})
    assert late.status_code == 200
    assert "late since 2024-01-06 07:00 CET" in late.headers["overnight-trust"]


def test_a_night_that_was_waived_is_not_late(published: Ledger, settings: Settings, client: TestClient, clock: Callable) -> None:
    clock.now = datetime(2024, 1, 8, tzinfo=UTC)
    assert "late since 2024-01-06" in client.get("/p/shops/2024-01-05").text
    waive(published.definition, [published.night("2024-01-05")], settings, who="ada", why="stocktaking")
    page = client.get("/p/shops/2024-01-05").text
    assert "late since" not in page
    assert "Left out on purpose, by ada: stocktaking." in page


def test_a_night_that_failed_and_was_waived_is_nobody_s_trouble(
    published: Ledger, settings: Settings, client: TestClient, ask: Callable, clock: Callable
) -> None:
    published.fail("2024-01-05")
    clock.now = datetime(2024, 1, 6, 5, tzinfo=UTC)
    night = "/p/shops/2024-01-05"
    before = client.get(f"{night}/verdict")
    assert ask("/")["headline"] == "1 of 1 needs somebody: shops failed."
    waive(published.definition, [published.night("2024-01-05")], settings, who="ada", why="stocktaking")
    assert client.get(f"{night}/verdict", headers={"If-None-Match": before.headers["etag"]}).status_code == 200
    summary = ask("/p/shops")["summary"]
    assert (summary["state"], summary["todo"], ask("/")["headline"]) == ("waived", "", "The night is published.")
    assert ask(night)["night"] == ask(f"{night}/verdict")["night"]
    clock.now = datetime(2024, 1, 8, tzinfo=UTC)
    assert ask(f"{night}/verdict")["trust"]["fresh"], "nobody waits for it here either"


def test_nobody_waits_for_waived_nights_wherever_it_is_asked(
    published: Ledger, settings: Settings, ask: Callable, clock: Callable, tmp_path: Path
) -> None:
    clock.now = datetime(2024, 1, 8, tzinfo=UTC)
    assert ask("/p/shops")["trust"]["late_since"] == "2024-01-06T07:00:00+01:00"
    waive(published.definition, [published.night("2024-01-05")], settings, who="ada", why="stocktaking")
    assert ask("/p/shops")["trust"]["late_since"] == "2024-01-07T07:00:00+01:00", "it is the 6th that is missed"
    assert ask("/p/shops")["trust"]["reason"].startswith("The night of 2024-01-06 is missing")
    waive(published.definition, [published.night("2024-01-06")], settings, who="ada", why="stocktaking")
    trust = ask("/p/shops")["trust"]
    assert (trust["fresh"], trust["reason"]) == (True, "Every night that was due is published. 2 nights after it are waived.")
    file = tmp_path / "newest.csv"
    export(settings, "shops", file, night=None, as_of=None, now=clock.now, comment=True)
    assert "; fresh; " in file.read_text().splitlines()[0]
