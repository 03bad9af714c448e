"""A deployments folder in which one pipeline is wrong: the others have their nights, and everybody is told."""

from dataclasses import replace

import sqlalchemy as sa

from deployments.catalogue import Definition
from infra.settings import Settings
from tasks.prepare import prepare_house
from tasks.watch import look_after_definitions

SCHEDULE = 'schedule: "0 2 * * *"\n'


def test_one_broken_pipeline_keeps_its_nights_and_keeps_no_other_from_theirs(
    settings: Settings, shops: Definition, reader: sa.Engine
) -> None:
    file = shops.folder / "pipeline.yaml"
    kiosks, new = (settings.deployments / name / "pipeline.yaml" for name in ("kiosks", "new"))
    kiosks.parent.mkdir()
    kiosks.write_text(file.read_text().replace("name: shops", "name: kiosks") + SCHEDULE)
    assert look_after_definitions(settings) == []
    whole = kiosks.read_text()
    kiosks.write_text(whole.replace("columns:", "colums:").replace(SCHEDULE, ""))
    new.parent.mkdir()
    new.write_text("name: new\n")

    house = prepare_house(settings)
    assert house.names == "shops"
    assert [(one.name, one.schedule) for one in house.pipelines] == [("kiosks", "0 2 * * *"), ("shops", None)]
    first, second = house.describe(*house.faults)
    assert first.startswith("kiosks is wrong, and its nights fail until it is mended: ")
    assert "unknown key 'colums'; did you mean 'columns'? Try: overnight check kiosks" in first
    assert second.startswith("new is wrong, and it has no nights before it is mended")

    def faults() -> dict[str, str]:
        with reader.connect() as connection:
            lines = connection.execute(sa.text("SELECT name, fault FROM reading.pipeline WHERE fault IS NOT NULL"))
            return {line.name: line.fault for line in lines}

    assert faults() == {"kiosks": "pipeline.yaml:6: unknown key 'colums'; did you mean 'columns'?"}
    assert look_after_definitions(settings) == [], "what is known is said once"
    kiosks.write_text(whole)
    assert look_after_definitions(settings) == ["kiosks is as it should be again"]
    assert faults() == {}
    kiosks.write_text(whole.replace("stock: {type: int}", "stock: {type: text}"))
    (said,) = look_after_definitions(settings)
    assert "kiosks is wrong" in said, "what only the database can tell is told too"


def test_a_folder_without_pipelines_is_a_house_without_any(settings: Settings, shops: Definition) -> None:
    assert prepare_house(settings.model_copy(update={"deployments": settings.home})).names == "no pipeline yet"
    assert replace(prepare_house(settings), definitions=[]).pipelines == []
