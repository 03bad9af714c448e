"""The JSON Schema of `pipeline.yaml`, made from its typed form, for editors that complete and check while one writes."""

from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from domain.pipeline import Pipeline

NAMES = ("pipeline.schema.json", "expectations.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _AsWritten(GenerateJsonSchema):
    """Defaults that only Python can hold (a length of time, a zone) are left out rather than spelt wrongly."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        default = found.get("default")
        if not isinstance(default, bool | int | float | str | type(None)) or _is_duration(default):
            found.pop("default", None)
        return found

    def generate(self, schema: Any, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return {"$schema": DIALECT, **super().generate(schema, mode)}


def _is_duration(default: object) -> bool:
    return isinstance(default, str) and default.startswith("P")


def pipeline_schema() -> dict[str, Any]:
    """What may stand in a `pipeline.yaml`; what only the catalogue can judge (names that agree, readable rules) is not in it."""
    schema = Pipeline.model_json_schema(schema_generator=_AsWritten, by_alias=True)
    return schema | {"title": "pipeline.yaml", "description": "One pipeline of Overnight."}


def place_schemas(folder: Path) -> None:
    """Puts the schemas as released beside the pipelines of another folder, whose files name them in their first line."""
    for name in NAMES:
        released = Path(__file__).parent / name
        target = folder / name
        if target.resolve() != released.resolve():
            target.write_bytes(released.read_bytes())
