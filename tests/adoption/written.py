"""Notebooks, scripts and tables as files."""

import csv
import json
from pathlib import Path
from textwrap import dedent
from typing import Any


def notebook(path: Path, *cells: str, third_form: bool = False) -> Path:
    """A notebook of these cells of code, with one of text before them."""
    lines = [dedent(cell).strip().splitlines(True) for cell in cells]
    code = [{"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": each} for each in lines]
    text = {"cell_type": "markdown", "metadata": {}, "source": ["# Notes\n", "read me"]}
    if third_form:
        sheet = {"cells": [text, *({"cell_type": "code", "input": cell["source"], "language": "python"} for cell in code)]}
        book: dict[str, Any] = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [sheet]}
    else:
        book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": "python3"}}, "cells": [text, *code]}
    path.write_text(json.dumps(book), encoding="utf-8")
    return path


def script(path: Path, text: str) -> Path:
    path.write_text(dedent(text).lstrip(), encoding="utf-8")
    return path


def table(path: Path, header: list[str] | None, rows: list[list[Any]], *, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, delimiter=delimiter)
        out.writerows([header] if header else [])
        out.writerows([["" if cell is None else cell for cell in row] for row in rows])
