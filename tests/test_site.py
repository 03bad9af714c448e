"""The site of docs/: every page is in its menu, what the code writes is as the code says, and no page asks another host."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCS = Path("docs")
# What a browser fetches by itself; a link that a reader may follow is none of these.
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}


def _menu(branch: Any) -> Iterator[str]:
    if isinstance(branch, str):
        yield branch
    for each in branch.values() if isinstance(branch, dict) else branch if isinstance(branch, list) else ():
        yield from _menu(each)


def test_every_page_is_in_the_menu_once() -> None:
    """Decisions get there by themselves."""
    listed = list(_menu(yaml.safe_load(Path("mkdocs.yml").read_text())["nav"]))
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(page for page in pages if not page.startswith("decisions/"))


def test_what_the_code_writes_is_what_the_code_says() -> None:
    made = runpy.run_path("docs/generate.py", run_name="generate")["pages"]()
    for path, text in made.items():
        assert path.read_text() == text, f"{path.name} is out of step: python docs/generate.py"


def test_every_key_of_pipeline_yaml_has_a_meaning() -> None:
    lines = Path("docs/reference/pipeline-yaml.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| `") and line.endswith("|  |")] == []


class _Asks(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag in FETCHED and said.get("rel") != "canonical":
            self.addresses.append(said.get(FETCHED[tag]) or "")


def test_the_site_builds_strictly_and_asks_no_other_host_for_anything(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra docs is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pages = [page for page in tmp_path.rglob("*.html") if page.name != "404.html"]
    assert len(pages) == len(list(DOCS.rglob("*.md")))
    for page in pages:
        text = page.read_text()
        asks = _Asks()
        asks.feed(text)
        assert [address for address in asks.addresses if re.match(r"(https?:)?//", address)] == [], page.name
        assert 'class="mermaid"' not in text, "the theme would fetch its drawing library for this"
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", sheet.read_text()), sheet.name
    assert not list(tmp_path.rglob("*.py")), "the site is pages, not code"
