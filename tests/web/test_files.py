"""A whole download that was sent once is a file from then on: the same bytes, and only for as long as it may be read."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from infra.settings import Settings
from web.files import KeptFiles


def files_of(settings: Settings) -> list[Path]:
    return sorted((settings.home / "downloads").iterdir())


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_the_second_whole_download_comes_from_a_file_and_is_the_same(
    published: Ledger, client: TestClient, settings: Settings, form: str
) -> None:
    first, second = client.get(f"/p/shops/rows.{form}"), client.get(f"/p/shops/rows.{form}")
    assert first.content == second.content
    (file,) = files_of(settings)
    digest = hashlib.sha256(first.content).digest()
    assert file.name.endswith(digest.hex())
    assert second.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    for name in ("etag", "overnight-trust", "overnight-batch-rows", "content-disposition", "content-type"):
        assert first.headers[name] == second.headers[name]


def test_a_correction_is_another_file(published: Ledger, client: TestClient, settings: Settings) -> None:
    before = client.get("/p/shops/rows.csv").text
    published.publish("2024-01-04", model=1, salt="corrected", shift=0.25)
    after = client.get("/p/shops/rows.csv")
    assert before != after.text == client.get("/p/shops/rows.csv").text
    assert len(files_of(settings)) == 2


@pytest.mark.parametrize("words", ["region=north", "sort=-stock", "trust=yes"])
def test_a_part_another_order_and_a_trust_line_are_written_anew(
    published: Ledger, client: TestClient, settings: Settings, words: str
) -> None:
    client.get("/p/shops/rows.csv")
    assert "repr-digest" not in client.get(f"/p/shops/rows.csv?{words}").headers
    assert len(files_of(settings)) == 1


def test_a_download_that_was_left_or_cut_short_or_has_no_room_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = KeptFiles(tmp_path, most_bytes=100)
    left = files.keep("a", iter([b"1", b"2"]), whole=lambda: True)
    assert next(left) == b"1"
    left.close()
    assert list(files.keep("b", iter([b"1"]), whole=lambda: False)) == [b"1"]
    monkeypatch.setattr("os.fsync", _no_space)
    assert list(files.keep("c", iter([b"1"]), whole=lambda: True)) == [b"1"], "it has been sent, and is whole"
    assert list(tmp_path.iterdir()) == []


def _no_space(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_oldest_files_make_room_and_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path / "kept", most_bytes=100)
    for name in ("a", "b", "c"):
        assert list(files.keep(name, iter([b"x" * 40]), whole=lambda: True)) == [b"x" * 40]
    assert [files.find(name) is not None for name in ("a", "b", "c")] == [False, True, True]
    (tmp_path / "file").touch()
    nowhere = KeptFiles(tmp_path / "file" / "kept", most_bytes=100)
    assert list(nowhere.keep("a", iter([b"x"]), whole=lambda: True)) == [b"x"]
    assert nowhere.find("a") is None


def test_a_place_is_left_by_an_export_that_nobody_ever_began(published: Ledger, ask: Callable) -> None:
    from web.exports import AT_ONCE, _Place

    held = [_Place() for _ in range(AT_ONCE)]
    assert all(held)
    assert not _Place()
    held.clear()
    assert _Place()
