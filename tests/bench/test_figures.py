"""The bench keeps what it has measured, says what each figure means, and warns without failing."""

import re
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import read_objects
from bench.clock import LEFT_OUT, Figures, in_turn
from bench.guard import warn
from bench.page import pages
from bench.ratios import BY_NAME, RATIOS
from bench.results import PATH, merge, ratios_of, read_results
from bench.scaling.curves import BY_NAME as CURVES
from bench.scaling.curves import PATH as CURVES_PATH
from bench.scaling.curves import keep_point, read_curves
from infra.postgres import Postmaster

MACHINE = {"cores": 2}
ASKED_FOR = {
    "ingest_vs_psql_copy", "ingest_vs_to_sql", "ingest_vs_dlt", "validate_vs_sql_pass", "score_vs_predict",
    "night_vs_plain_calls", "night_365_vs_night_30", "rss_10x_rows", "web_lookup_vs_bare", "web_lookup_vs_datasette",
    "export_vs_psql_copy", "slots_memory", "slots_speed", "dask_2_workers",
}  # fmt: skip


def test_a_run_of_some_comparisons_keeps_what_the_others_measured() -> None:
    both = merge({"machines": []}, {"a": {"ratio": 1}, "b": {"ratio": 2}}, size="full", machine=MACHINE, day="2026-01-01")
    again = merge(both, {"b": {"ratio": 3}}, size="full", machine={"cores": 8}, day="2026-01-02")
    ratios = ratios_of(merge(again, {"b": {"ratio": 9}}, size="small", machine=MACHINE, day="2026-01-03"), "full")
    assert {name: (one["ratio"], one["day"]) for name, one in ratios.items()} == {"a": (1, "2026-01-01"), "b": (3, "2026-01-02")}
    assert [again["machines"][one["machine"]]["cores"] for one in ratios.values()] == [2, 8]


def test_a_machine_that_measured_nothing_that_is_left_is_forgotten() -> None:
    old = merge({"machines": []}, {"a": {"ratio": 1}}, size="full", machine=MACHINE, day="2026-01-01")
    assert merge(old, {"a": {"ratio": 1}}, size="full", machine={"cores": 8}, day="2026-01-02")["machines"] == [{"cores": 8}]


def test_comparisons_may_print_several_objects_and_other_words() -> None:
    assert read_objects('starting\n{"a": {"ratio": 1}}\n{"b": {"ratio": 2}}\ndone') == {"a": {"ratio": 1}, "b": {"ratio": 2}}
    assert read_objects("nothing at all") == {}


def test_another_tool_that_fails_costs_its_own_figures_alone(server: Postmaster, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Figures:
        raise RuntimeError("no such wheel")

    found = in_turn({"other": fail, "ours": lambda: {"seconds": 2.0}}, server=server, rounds=1)
    assert (list(found), found["ours"]["seconds"], found["ours"]["rounds"]) == (["ours"], 2.0, 1)
    assert capsys.readouterr().err == f"other {LEFT_OUT} no such wheel\n"


TURNS = [
    ("score_vs_predict", 0.4, True), ("score_vs_predict", 1.6, False), ("validate_vs_sql_pass", 1.6, True),
    ("validate_vs_sql_pass", 0.4, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "now", "worse"), TURNS)
def test_the_guard_knows_which_side_is_worse(name: str, now: float, worse: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert (warn({name: {"ratio": now}}, {name: {"ratio": 0.8}, "gone": {"ratio": 1}}) == [name]) is worse
    said = capsys.readouterr().out
    assert ("WARNING" in said) is worse
    assert "not measured" in said


def test_every_ratio_that_was_asked_for_is_measured_and_every_measured_one_has_its_words() -> None:
    results = read_results(PATH)
    assert ratios_of(results, "full").keys() >= ASKED_FOR
    for size in ("full", "small"):
        assert ratios_of(results, size).keys() <= BY_NAME.keys()
    assert all(Path("bench", f"{one.file}.py").exists() for one in RATIOS)


def test_what_stands_in_the_way_is_said_of_each_target_that_is_missed() -> None:
    full = ratios_of(read_results(PATH), "full")
    missed = [one for one in RATIOS if one.name in full and any(target.met(full[one.name]) is False for target in one.targets)]
    assert [one.name for one in missed if not one.way] == []


def test_results_name_no_host_and_no_folder() -> None:
    for path in (PATH, CURVES_PATH):
        assert not re.search(r'"(host|hostname|node|user)"|/tmp|/home', path.read_text())


def test_the_page_shows_each_ratio_and_says_met_or_missed() -> None:
    made = pages()
    text = next(text for path, text in made.items() if path.name == "figures.md")
    full = ratios_of(read_results(PATH), "full")
    assert all(f"`{name}`" in text for name in full)
    assert re.search(r"Of \d+ targets \d+ are met", text)
    for picture in re.findall(r"\.\./pictures/([\w-]+\.svg)", text):
        svg = next(text for path, text in made.items() if path.name == picture)
        assert svg.startswith("<svg")
        assert "nan" not in svg


def test_a_curve_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "curves.json"
    for at, cost in ((100, 5.0), (10, 7.0), (100, 4.0)):
        keep_point("rows", {"at": at, "ingest": cost}, day="2026-01-01", path=path)
    points: list[dict[str, Any]] = read_curves(path)["rows"]["points"]
    assert [(point["at"], point["ingest"]) for point in points] == [(10, 7.0), (100, 4.0)]


def test_every_point_of_a_curve_is_drawn_or_told() -> None:
    for name, curve in read_curves().items():
        known = {*CURVES[name].series, *CURVES[name].more, "at", "day"}
        assert [key for point in curve["points"] for key in point if key not in known] == []
