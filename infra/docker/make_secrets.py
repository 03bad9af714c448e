"""Makes what the compose stack's parts prove themselves with, once:
`python infra/docker/make_secrets.py FOLDER [HOST:PORT]`.

Each part is handed only its own files. They are readable by all inside a folder that only its owner may enter, because a
container reads them as another user.
"""

import secrets
import sys
from pathlib import Path

HOST, DATABASE = "postgres:5432", "overnight"
ROLES = {"admin": "overnight_admin", "owner": "overnight_owner", "writer": "overnight_writer", "reader": "overnight_reader"}


def main(folder: Path, host: str = HOST) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    passwords = {name: secrets.token_urlsafe(24) for name in (*ROLES, "prefect")}
    files = {f"{name}_url": f"postgresql://{role}:{passwords[name]}@{host}/{DATABASE}" for name, role in ROLES.items()}
    files |= {"postgres_password": passwords["admin"], "prefect_password": passwords["prefect"]}
    if not all((folder / name).is_file() for name in files):
        for name, text in files.items():
            write(folder / name, text)
    # For a cluster, whose Prefect is told its whole address; made from what is there, in folders that are older than it too.
    known = (folder / "prefect_password").read_text(encoding="utf-8")
    if not (folder / "web_key").is_file():  # in folders that are older than it too
        write(folder / "web_key", secrets.token_hex(32))
    write(folder / "prefect_url", f"postgresql+asyncpg://prefect:{known}@{host}/prefect")


def write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o444)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
