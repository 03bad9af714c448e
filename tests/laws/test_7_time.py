"""Law 7: time is an argument; nothing below the flow asks what day it is."""

import ast
from pathlib import Path

import pytest

BELOW_THE_FLOW = ("domain", "store", "tasks", "deployments")
CLOCKS = {"now", "utcnow", "today", "time", "localtime", "gmtime", "fromtimestamp"}
FILES = [path for folder in BELOW_THE_FLOW for path in sorted(Path(folder).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_file_below_the_flow_reads_a_clock(path: Path) -> None:
    asked = [
        f"{path}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date", "time", "dt"}
    ]
    assert asked == []
