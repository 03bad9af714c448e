"""Who reaches whom on a cluster: the manifests' network policies, read as a cluster reads them."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.test_kubernetes import KUBERNETES, documents, filled

Labels = dict[str, str]
POLICIES = [document["spec"] for document in documents() if document["kind"] == "NetworkPolicy"]
DATABASES = {"overnight/postgres": "here"}  # labels of the namespace in which Postgres is
CLUSTER = {"kubernetes.io/metadata.name": "kube-system"}  # and of the one that knows names
PORTS = {"prefect": 4200, "web": 8500, "dask": 8786, "dask-worker": 40000, "migrate": 80, "worker": 80, "night": 80}
REACHED = {
    "migrate": {"postgres"},
    "prefect": {"postgres"},
    "web": {"postgres"},
    "worker": {"prefect", "kubernetes"},
    "night": {"postgres", "prefect", "dask", "dask-worker"},
    "dask": {"dask", "dask-worker"},
    "dask-worker": {"postgres", "prefect", "dask", "dask-worker"},
}


@pytest.mark.parametrize("part", REACHED)
def test_a_part_reaches_what_its_work_needs_and_nothing_else(part: str) -> None:
    me, everybody = pods()[part], pods()
    assert everybody.keys() == PORTS.keys() == REACHED.keys()
    reached = {
        name for name, port in PORTS.items() if leaves(me, port, pod=everybody[name]) and enters(everybody[name], port, me)
    }
    reached |= {"postgres"} if leaves(me, 5432, namespace=DATABASES) else set()
    reached |= {"kubernetes"} if leaves(me, 6443, address="10.0.0.1") else set()
    assert reached == REACHED[part]
    assert leaves(me, 53, namespace=CLUSTER), "names are asked for"
    assert not any(leaves(me, port, address="192.0.2.99") for port in (53, 80, 443, 5432, 6443)), "the net is closed"


def test_everybody_may_look_at_the_web_and_only_who_works_with_it_talks_to_prefect() -> None:
    stranger = {"app": "somebody"}
    assert enters(pods()["web"], 8500, stranger)
    assert not enters(pods()["prefect"], 4200, stranger)
    assert not enters(pods()["dask"], 8786, stranger)


def test_a_night_reaches_a_source_in_the_net_where_its_deployment_wears_the_name_of_a_policy() -> None:
    assert not leaves(pods()["night"], 443, address="192.0.2.10")
    named = pods(reaches="shop")["night"]
    assert leaves(named, 443, address="192.0.2.10")
    assert not leaves(named, 443, address="192.0.2.99")


def pods(**variables: str) -> dict[str, Labels]:
    """The labels of each part's pods, as the manifests and the job template give them."""
    night = filled(KUBERNETES / "work-pool.json", name="night", command=[], labels={}, env=[], **variables)["job_manifest"]
    found = [one["spec"]["template"]["metadata"]["labels"] for one in (*documents(), night) if "template" in one.get("spec", ())]
    return {labels["part"]: labels for labels in found}


def leaves(me: Labels, port: int, *, pod: Labels | None = None, namespace: Labels | None = None, address: str = "") -> bool:
    peers = (peer for rule in rules("egress", me, port) for peer in rule["to"])
    return any(fits(peer, pod=pod, namespace=namespace, address=address) for peer in peers)


def enters(me: Labels, port: int, pod: Labels) -> bool:
    return any("from" not in rule or any(fits(peer, pod=pod) for peer in rule["from"]) for rule in rules("ingress", me, port))


def rules(way: str, me: Labels, port: int) -> Iterator[dict[str, Any]]:
    """What the policies that choose a pod allow it at a port; where none chose it, it would be allowed everything."""
    mine = [policy for policy in POLICIES if selects(policy["podSelector"], me) and way.capitalize() in policy["policyTypes"]]
    assert mine, f"no policy bounds the {way} of {me}"
    allowed = (rule for policy in mine for rule in policy.get(way, ()))
    return (rule for rule in allowed if "ports" not in rule or port in [one["port"] for one in rule["ports"]])


def fits(peer: dict[str, Any], *, pod: Labels | None = None, namespace: Labels | None = None, address: str = "") -> bool:
    if "ipBlock" in peer:
        return bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(peer["ipBlock"]["cidr"])
    if "namespaceSelector" in peer:
        return namespace is not None and selects(peer["namespaceSelector"], namespace)
    return pod is not None and selects(peer["podSelector"], pod)


def selects(selector: dict[str, Any], labels: Labels) -> bool:
    wanted = {key: [value] for key, value in selector.get("matchLabels", {}).items()}
    for one in selector.get("matchExpressions", ()):
        assert one["operator"] == "In", "this test reads no other one"
        wanted[one["key"]] = one["values"]
    return all(labels.get(key) in values for key, values in wanted.items())
