"""What would be sent to a cluster is what Kubernetes' own schemas allow, and holds no secret."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

KUBERNETES = Path(__file__).parents[2] / "infra" / "kubernetes"
VERSION = "1.37"


def documents() -> list[dict[str, Any]]:
    return [document for file in sorted(KUBERNETES.glob("*.yaml")) for document in yaml.safe_load_all(file.read_text())]


@pytest.mark.parametrize("document", documents(), ids=lambda document: f"{document['kind']} {document['metadata']['name']}")
def test_a_manifest_keeps_to_the_schema(document: dict[str, Any]) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(document, VERSION, strict=True)


def test_the_job_of_a_night_keeps_to_the_schema_and_is_confined() -> None:
    import kubernetes_validate

    command = ["prefect", "flow-run", "execute"]
    job = filled(KUBERNETES / "work-pool.json", name="night", command=command, labels={}, env=[])["job_manifest"]
    kubernetes_validate.validate(job, VERSION, strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert job["spec"]["backoffLimit"] == 0, "the ledger and Prefect's policy say what is tried again"


def test_prefect_s_server_is_told_the_same_as_in_the_stack_but_where_its_database_and_its_files_lie() -> None:
    stack = yaml.safe_load((KUBERNETES.parents[1] / "docker-compose.yml").read_text())["services"]["prefect"]["environment"]
    told = environment("prefect")
    own = {name: value for name, value in stack.items() if name.startswith("PREFECT_") and "_DATABASE_" not in name}
    assert told.keys() == own.keys()
    assert {name for name in own if own[name] != told[name]} == {
        "PREFECT_HOME", "PREFECT_SERVER_UI_STATIC_DIRECTORY", "PREFECT_SERVER_UI_API_URL"
    }  # fmt: skip


def test_the_worker_wants_nothing_outside_of_the_namespace_to_which_its_role_ends() -> None:
    (role,) = (one for one in documents() if one["kind"].endswith("Role"))
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "overnight")
    told = environment("worker")
    assert told["PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES"] == "overnight", "by default it watches all there are"
    assert told["PREFECT_INTEGRATIONS_KUBERNETES_CLUSTER_UID"], "by default it reads the namespace kube-system for one"


def environment(part: str) -> dict[str, str]:
    """The variables of a part's container."""
    (found,) = (one for one in documents() if (one["kind"], one["metadata"]["name"]) == ("Deployment", part))
    return {one["name"]: one["value"] for one in found["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_no_secret_stands_in_a_manifest_or_in_a_job_template() -> None:
    for file in (*KUBERNETES.iterdir(), KUBERNETES.parent / "docker" / "work-pool.json"):
        text = file.read_text()
        assert not re.search(r"://[^/\s:]+:[^@\s{]+@", text), file.name
        assert "password" not in json.dumps(text).lower(), file.name
    assert not [document for document in documents() if document["kind"] == "Secret"]


def filled(template: Path, **given: Any) -> dict[str, Any]:
    """A work pool's base job template with its variables filled in, as a worker does it."""
    document = json.loads(template.read_text())
    values = {name: value.get("default") for name, value in document["variables"]["properties"].items()} | given

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: fill(value) for key, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        if not isinstance(part, str) or "{{" not in part:
            return part
        if part.startswith("{{ ") and part.endswith(" }}"):
            return values[part[3:-3]]
        for name, value in values.items():
            part = part.replace("{{ " + name + " }}", str(value))
        return part

    return dict(fill(document["job_configuration"]))
