"""Writes the project's commands and its name and version into its own folder, as installing it would, without a build tool."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """#!{python}
import sys
from {module} import {function}
sys.exit({function}())
"""


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = ROOT / f"overnight-{project['version']}.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: overnight\nVersion: {project['version']}\n")
    (ROOT / "bin").mkdir(exist_ok=True)
    for name, target in project["scripts"].items():
        module, function = target.split(":")
        script = ROOT / "bin" / name
        script.write_text(SCRIPT.format(python=sys.executable, module=module, function=function), encoding="utf-8")
        script.chmod(0o755)


if __name__ == "__main__":
    main()
