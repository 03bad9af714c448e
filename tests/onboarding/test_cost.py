"""What a proposed model may cost does not grow with the classes that a table happens to have."""

from pathlib import Path

import pytest

from tests.onboarding.made import Made, write_csv
from tests.onboarding.test_new import proposed

_TREES = 2_000


@pytest.mark.parametrize("classes", [9, 42, 200])
def test_the_trees_of_a_fit_are_bounded_whatever_the_number_of_classes(classes: int, tmp_path: Path) -> None:
    rows = [[n, n * 7 % 101, f"kind {n % classes}"] for n in range(10 * classes)]
    made = Made("kinds", write_csv(tmp_path / "kinds.csv", ["id", "x", "kind"], rows), "kind", "classes")
    found = proposed(made, tmp_path)
    assert len(found.goal.classes) == classes
    assert 10 <= found.model["params"]["max_iter"] <= 100
    assert found.model["params"]["max_iter"] * classes <= _TREES
