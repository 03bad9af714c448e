"""One stranger's morning: new, check, run, and every page, as typed and without an edit."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from bench.strangers.made import Brought
from infra.settings import Settings

_LONGEST = 900


@dataclass
class Trial:
    """What happened. `wrong` is empty for a stranger who has nothing to complain of."""

    ours: float = float("nan")
    seconds: float = 0.0
    published: dict[str, float] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def try_table(name: str, brought: Brought, settings: Settings) -> Trial:
    """Stops at the first command that fails."""
    trial, began = Trial(), monotonic()
    new = ["new", name, "--from", brought.source, "--target", brought.target, "--yes", "--json", *brought.more]
    for words in (new, ["check", name], ["run", name, "--direct", "--json"]):
        done = _overnight(words, settings)
        if done.returncode or "Traceback" in done.stderr:
            trial.wrong.append(f"{words[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
            return trial
        if words[0] == "new":
            trial.told = json.loads(done.stdout)
        if words[0] == "run":
            trial.published = _realised(json.loads(done.stdout))
    trial.seconds = monotonic() - began
    _look(trial, name, brought, settings)
    return trial


def _overnight(words: list[str], settings: Settings) -> subprocess.CompletedProcess[str]:
    own = {"OVERNIGHT_HOME": str(settings.home), "OVERNIGHT_DEPLOYMENTS": str(settings.deployments)}
    command = [sys.executable, "-c", "from cli.main import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | own, timeout=_LONGEST)


def _realised(run: dict[str, Any]) -> dict[str, float]:
    """The newest night's figures, as it published them."""
    observed = next(stage for stage in run["stages"] if stage["stage"] == "observe")
    nights = observed["detail"].get("nights") or [{"figures": {}}]
    return {metric: each["value"] for metric, each in nights[-1]["figures"].items()}


def _look(trial: Trial, name: str, brought: Brought, settings: Settings) -> None:
    from fastapi.testclient import TestClient

    from web.app import create_app

    with TestClient(create_app(settings, live=False), raise_server_exceptions=False) as client:
        night = client.get(f"/api/v1/p/{name}/rows?limit=5").json().get("night")
        pages = [f"/p/{name}", f"/p/{name}/{night}", f"/p/{name}/rows", f"/p/{name}/{night}/verdict",
                 f"/p/{name}/models/1", f"/p/{name}/scoreboard", f"/api/v1/p/{name}", f"/api/v1/p/{name}/{night}",
                 f"/api/v1/p/{name}/models/1"]  # fmt: skip
        for page in pages:
            answer = client.get(page)
            trial.wrong += [f"{page} answered {answer.status_code}"] if answer.status_code != 200 else []
        lines = client.get(f"/api/v1/p/{name}/rows.csv")
        trial.wrong += [f"rows.csv answered {lines.status_code}"] if lines.status_code != 200 else []
    _judge(trial, list(csv.DictReader(io.StringIO(lines.text))), brought)


def _judge(trial: Trial, rows: list[dict[str, str]], brought: Brought) -> None:
    predicted = [row for row in rows if row["prediction"] != ""]
    if len(predicted) < 0.99 * brought.rows:
        trial.wrong.append(f"{len(predicted):,} predictions for {brought.rows:,} rows")
    kind, target = trial.told["target"]["kind"], trial.told["target"]["column"]
    if kind != brought.task:
        trial.wrong.append(f"taken as {kind}, not as {brought.task}")
        return
    trial.ours = _quality(kind, [row for row in predicted if row[target] != ""], target)
    said = trial.published.get({"yes or no": "roc_auc", "classes": "accuracy", "number": "r2"}[kind])
    if said is not None and abs(said - trial.ours) > 0.01:
        trial.wrong.append(f"published {said:.4f}, but its rows say {trial.ours:.4f}")
    features = {one for names in trial.told["features"].values() for one in names}
    left_out = {leak["column"] for leak in trial.told["leaks"] if leak["out"]}
    trial.wrong += [f"{leak} gives the answer away and was not left out" for leak in brought.leaks if leak in features - left_out]
    trial.wrong += [f"{leak} was not named" for leak in brought.leaks if leak not in left_out]


def _quality(kind: str, rows: list[dict[str, str]], target: str) -> float:
    """From the file that a reader takes home."""
    from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

    answers, said = [row[target] for row in rows], [row["prediction"] for row in rows]
    if kind == "number":
        return float(r2_score(np.array(answers, float), np.array(said, float)))
    if kind == "classes":
        return float(accuracy_score(answers, said))
    chance = np.array([row["probability"] for row in rows], float)
    worth = float(roc_auc_score(np.array(answers) == max(answers), chance))
    return max(worth, 1 - worth)  # which of the two answers means yes is another question
