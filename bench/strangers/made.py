"""What a stranger's table is: a file on the disk, and beside it what its maker knows and the file does not say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Chance = np.random.Generator


@dataclass(frozen=True)
class Brought:
    """`known` are the columns that a careful person would learn from, as clean as their maker had them; `answers` what is to be
    predicted, null where nobody knows. `leaks` must be named and left out. `more` are further words for `overnight new`."""

    source: str
    target: str
    task: str
    known: pd.DataFrame
    answers: pd.Series
    leaks: tuple[str, ...] = ()
    more: tuple[str, ...] = field(default=())

    @property
    def rows(self) -> int:
        return len(self.known)


def to_csv(frame: pd.DataFrame, path: Path, **how: Any) -> str:
    frame.to_csv(path, index=how.pop("index", False), **how)
    return str(path)


def pick(chance: Chance, rows: int, **shares: float) -> Any:
    """Words in these shares."""
    weights = np.array(list(shares.values()), float)
    return chance.choice(list(shares), rows, p=weights / weights.sum())


def yes(chance: Chance, logit: Any) -> Any:
    """True with the chance that the logit says."""
    return chance.random(len(logit)) < 1 / (1 + np.exp(-np.asarray(logit, float)))


def emptied(chance: Chance, values: Any, share: float, mark: Any = None) -> pd.Series:
    """The values with a share of them gone."""
    cells = pd.Series(values).astype(object)
    cells[chance.random(len(cells)) < share] = mark
    return cells


def comma(values: Any, digits: int = 2, tail: str = "") -> list[str]:
    """Numbers as they are written in Germany."""
    return [f"{value:,.{digits}f}".replace(",", "\0").replace(".", ",").replace("\0", ".") + tail for value in values]
