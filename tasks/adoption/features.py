"""The text of features.py: the notebook's own lines, for one row at a time, and its estimator where YAML cannot say it."""

from collections.abc import Mapping, Sequence

from tasks.adoption.factory import Model
from tasks.adoption.rowwise import ROWS
from tasks.adoption.values import Step

_IMPORTS = ("import ", "from ")


def write_features(
    file: str,
    steps: Sequence[Step],
    columns: Sequence[str],
    *,
    names: Mapping[str, str],
    model: Model | None,
    sources: Mapping[str, str],
) -> str:
    """`names` maps the contract's names to the notebook's, where they differ. Empty when there is nothing to write."""
    blocks: list[str] = []
    needs = {name for step in steps for name in step.needs}
    code = {name: sources[name] for name in sorted(needs) if name in sources}
    imports = {line for line in code.values() if line.startswith(_IMPORTS)} | (model.imports if model and model.code else set())
    if steps:
        imports.add("import pandas as pd")
        constants = [line for line in code.values() if not line.startswith((*_IMPORTS, "def "))]
        blocks += [*constants, ""] if constants else []
        blocks += [f"\n{line}\n" for line in code.values() if line.startswith("def ")]
        blocks.append("\n" + "\n".join(_build(steps, columns, names)))
    if model is not None and model.code:
        blocks.append("\n" + "\n".join(_make(model)))
    if not blocks:
        return ""
    head = (
        f'"""What {file} makes of the table, carried over by `overnight adopt`. It is yours now: change what you know better."""'
    )
    imports = {line for line in imports if line.startswith("import ")} | _together(imports)
    plain = "\n".join(sorted(line for line in imports if line.startswith("import ")))
    froms = "\n".join(sorted(line for line in imports if line.startswith("from ")))
    return "\n".join([head, "", *(part for part in (plain, froms) if part), "", *blocks]).rstrip() + "\n"


def _together(imports: set[str]) -> set[str]:
    """One line for each module that names are taken from."""
    names: dict[str, set[str]] = {}
    for line in imports:
        if line.startswith("from "):
            module, _, name = line.removeprefix("from ").partition(" import ")
            names.setdefault(module, set()).add(name)
    return {f"from {module} import {', '.join(sorted(taken))}" for module, taken in names.items()}


def _build(steps: Sequence[Step], columns: Sequence[str], names: Mapping[str, str]) -> list[str]:
    start = (
        f"{ROWS} = {ROWS}.rename(columns={dict(names)!r})  # as the notebook calls them" if names else f"{ROWS} = {ROWS}.copy()"
    )
    return [
        f"def build({ROWS}: pd.DataFrame) -> pd.DataFrame:",
        '    """`features.hook`: a row in, a row out. It sees no answers."""',
        f"    {start}",
        *(f"    {step.code}  # {step.place}" for step in steps),
        f"    return {ROWS}[{list(columns)!r}]",
    ]


def _make(model: Model) -> list[str]:
    return ["def make():", '    """`model.estimator`: what pipeline.yaml could not say of it."""', f"    return {model.code}"]
