"""Builds the container image from this tree, with this machine's own way to its packages, none of which stays in it."""

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from domain.errors import StageFailed, UsageError

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "infra" / "docker" / "Dockerfile"
EXTRAS = DOCKERFILE.parent / "extras"
_PIP = {"index-url", "extra-index-url", "trusted-host", "timeout"}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def build_image(tag: str, *, base: str | None = None, extras: Sequence[str] = (), quiet: bool = True) -> str:
    """Builds the image, names it `tag` and returns its digest; without `base` on the Python image that the Dockerfile names.

    `extras` are the names of further locks: drivers of object storage. Raises UsageError where there is no Docker, no tree to
    build from or no such extra, StageFailed with the end of what Docker said.
    """
    if not DOCKERFILE.is_file():
        raise UsageError("the image is built from a checkout of Overnight, and this is none", where=str(ROOT))
    values = {**pip_settings(), "EXTRA_CERTIFICATES": extra_certificates(), "VERSION": version(), "REVISION": revision()}
    values["EXTRAS"] = " ".join(known_extras(extras))
    if base:
        values["PYTHON_IMAGE"] = base
    # Named without values, which Docker then takes from the environment: a password in a URL shows in no process list.
    names = [part for name in values for part in ("--build-arg", name)]
    command = ["docker", "build", "--network", "host", "--tag", tag, "--file", str(DOCKERFILE), *names, str(ROOT)]
    try:
        built = subprocess.run(
            command, env={**os.environ, **values}, capture_output=quiet, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        raise UsageError("the image is built by docker, which is not here", hint="apt install docker.io") from None
    if built.returncode:
        said = "; ".join((f"{built.stdout}\n{built.stderr}" if quiet else "").strip().splitlines()[-3:])
        raise StageFailed(f"the image could not be built{f' ({said[-600:]})' if said else ''}", hint="docker info")
    inspected = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", tag], capture_output=True, text=True, check=True
    )
    return inspected.stdout.strip()


def known_extras(names: Sequence[str]) -> list[str]:
    """Each once, in one order, so that the same extras are the same image; raises UsageError for one that has no lock."""
    known = sorted(file.stem for file in EXTRAS.glob("*.lock"))
    if unknown := sorted(set(names) - set(known)):
        raise UsageError(f"the image has no extra {unknown[0]!r}", hint=f"--with {' or --with '.join(known)}")
    return [name for name in known if name in names]


def pip_settings() -> dict[str, str]:
    """What this machine's pip is told about its index, as the variables that pip reads. Folders of this machine are left out."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    found: dict[str, str] = {}
    for line in asked.stdout.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        kept = " ".join(part for part in value.strip("'\"").replace("\\n", " ").split() if not part.startswith(("file:", "/")))
        if name in _PIP and kept:
            found["PIP_DEFAULT_TIMEOUT" if name == "timeout" else f"PIP_{name.upper().replace('-', '_')}"] = kept
    return found


def extra_certificates() -> str:
    """The authorities that this machine trusts beyond everybody's, a company's proxy for one; trusted while building only."""
    import certifi

    trusted = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt"
    usual = [Path(certifi.where()), *Path("/usr/share/ca-certificates").rglob("*.crt")]
    known = {_bare(found) for file in usual for found in _PEM.findall(file.read_text(errors="replace"))}
    text = Path(trusted).read_text(errors="replace") if Path(trusted).is_file() else ""
    return "\n".join(found for found in _PEM.findall(text) if _bare(found) not in known)


def _bare(certificate: str) -> str:
    return "".join(certificate.split())


def version() -> str:
    return importlib.metadata.version("overnight")


def revision() -> str:
    """The commit of the tree, marked when there is more in it than was committed; `unknown` outside git."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if commit.returncode:
        return "unknown"
    changes = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    return commit.stdout.strip() + ("-changed" if changes.stdout.strip() else "")
