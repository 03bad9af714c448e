"""What the site needs beyond mkdocs: the decisions in its menu, and links that lead out of docs/."""

import re
from pathlib import Path
from typing import Any

_OUT = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)([^)]+)\)")


def on_config(config: Any, **_: Any) -> Any:
    """Decisions need no line in mkdocs.yml: their files say their numbers and their headings what they decide."""
    pages = sorted(Path(config.docs_dir, "decisions").glob("[0-9]*.md"))
    headings = [re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE) for page in pages]
    found = [
        {heading[1] if heading else page.stem: f"decisions/{page.name}"} for page, heading in zip(pages, headings, strict=True)
    ]
    config.nav.append({"Decisions": found})
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The README's place is taken by the first page; other files of the repository have none here and stay words."""
    depth = page.file.src_uri.count("/")

    def lead(match: re.Match[str]) -> str:
        words, up, target = match.groups()
        if up.count("../") <= depth:
            return match[0]
        return f"[{words}]({'../' * depth}index.md)" if target == "README.md" else f"{words} (`{target}`)"

    return _OUT.sub(lead, markdown)
