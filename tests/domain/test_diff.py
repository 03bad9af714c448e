"""Which differences from the last published night keep predictions from readers."""

import pytest

from domain.diff import Diff, decide_hold, population_stability
from domain.spec.running import HoldIf


def night(**changed: object) -> Diff:
    same = {
        "against": "2024-01-04", "batch": 7, "rows": 100, "rows_before": 100, "common": 100, "flips": 0,
        "before": (50, 50), "after": (50, 50), "ranges": ("low", "high"),
    }  # fmt: skip
    return Diff(**{**same, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "tonight", "sentence"),
    [
        ({"rows_change": 0.6}, {"rows": 26}, "held: 74% fewer rows than 2024-01-04 (26 against 100), limit 60%"),
        ({"rows_change": 0.6}, {"rows": 170}, "held: 70% more rows than 2024-01-04 (170 against 100), limit 60%"),
        ({"rows_change": 0.6}, {"rows": 160}, None),
        ({"flips": 0.3}, {"flips": 41}, "held: 41% of the predictions changed since 2024-01-04 (41 of 100), limit 30%"),
        ({"flips": 0.3}, {"flips": 30}, None),
        ({"flips": 0.0}, {"flips": 0, "common": 0}, None),
        (
            {"psi": 0.25},
            {"after": (95, 5)},
            "held: predictions are distributed unlike those of 2024-01-04 (PSI 1.32), limit 0.25",
        ),
        ({"psi": 0.25}, {"after": (55, 45)}, None),
        ({"psi": 0.25}, {"after": (0, 0)}, None),
        ({}, {"rows": 1, "flips": 100, "after": (100, 0)}, None),
    ],
)
def test_a_limit_that_is_passed_holds_in_one_sentence(
    limits: dict[str, float], tonight: dict[str, object], sentence: str | None
) -> None:
    assert decide_hold(night(**tonight), HoldIf(**limits)) == sentence


def test_the_stability_index_is_the_sum_over_ranges() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    assert population_stability((50, 50), (60, 40)) == pytest.approx(0.0405465, abs=1e-6)


def test_keys_that_came_and_went_are_counted() -> None:
    diff = night(rows=90, common=80)
    assert (diff.added, diff.gone) == (10, 20)
