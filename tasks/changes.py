"""What a night's rows depend on, and which of it is not as it was when a batch was made: plans list it, reruns say it."""

from collections.abc import Sequence

from deployments.catalogue import Definition
from store.batches import Recipe
from tasks.context import code_of


def input_changes(definition: Definition, made: Recipe, *, source: Sequence[str]) -> list[str]:
    """The parts that have changed since; `source` are the hashes of the files as they are now."""
    changes = {
        "source": [file["sha256"] for file in made.files] != list(source),
        "contract": made.contract_hash != definition.pipeline.contract_fingerprint,
        "suite": bool(made.suite_hash) and made.suite_hash != definition.suite_hash,
        "hook": made.code.rpartition("-")[2] != definition.code_hash,
        "ingestion code": own_code(made.code) != own_code(code_of(definition, "ingest")),
    }
    return [name for name, changed in changes.items() if changed]


def own_code(code: str) -> str:
    """Overnight's part of a fingerprint of code; the pipeline's own Python is the rest."""
    return code.rpartition("-")[0]
