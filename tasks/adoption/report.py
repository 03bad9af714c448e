"""An adopted notebook in words, for the terminal, and as JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.adoption.adopt import Adopted
from tasks.adoption.values import Said
from tasks.onboarding.report import next_commands, sentences
from tasks.onboarding.report import to_json as proposal_to_json

HEADINGS = {"carried": "carried", "ours": "our way", "left": "left out", "leak": "leak", "skipped": "skipped"}
_SHOWN = ("table", "predicts", "key", "nights", "features", "leak", "leak?", "look at", "model", "rules")


def lines(adopted: Adopted) -> Iterator[tuple[str, str]]:
    """(heading, sentence), in the order in which a reader wants them."""
    proposal, read = adopted.proposal, adopted.read
    yield "read", f"{proposal.place.said.removeprefix(f'{Path.cwd()}/')}, as {adopted.script.file} does in {read.place}"
    for heading, sentence in sentences(proposal):
        if heading in _SHOWN:
            yield heading, sentence
    yield from ((HEADINGS["carried"], f"{place}: {code}") for place, code in carried(adopted))
    for kind in HEADINGS:
        for said in adopted.said:
            if said.kind == kind:
                yield HEADINGS[kind], _sentence(said)


def carried(adopted: Adopted) -> Iterator[tuple[str, str]]:
    """The lines that stand in features.py, with where they come from."""
    for line in adopted.code.splitlines():
        code, mark, place = line.strip().rpartition("  # ")
        if mark and place.startswith(("cell ", "line ")):
            yield place, code


def _sentence(said: Said) -> str:
    return f"{said.place}: {said.what}" if said.place else said.what


def to_json(adopted: Adopted, folder: str) -> dict[str, Any]:
    """What was found, and every sentence with its place."""
    said = [{"kind": one.kind, "cell": one.place.cell if one.place else None, "line": one.place.line if one.place else None,
             "what": one.what} for one in adopted.said]  # fmt: skip
    steps = [{"place": place, "code": code} for place, code in carried(adopted)]
    return {**proposal_to_json(adopted.proposal, folder), "script": adopted.script.file, "hook": adopted.proposal.hook or None,
            "carried": steps, "said": said, "next": next_commands(adopted.proposal)}  # fmt: skip
