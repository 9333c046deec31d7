"""Checks a Kubernetes manifest without a cluster: manifests.py CHECK FILE. The reason goes to stderr.

schema      every document is what Kubernetes' own schema allows, with no unknown field, old release and new
restricted  every Pod would be let into a namespace that enforces the restricted Pod Security profile
probes      probes ask the right routes, and the times of draining fit into each other
links       no Service can put its address into berth's options; berth asks nothing of the cluster
"""
import sys

import kubernetes_validate
import yaml

ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
                   "projected", "secret"}
OLDEST = "1.25"


def require(holds, reason):
    if not holds:
        sys.exit(reason)


def pods(documents):
    """The Pod specifications in the documents, each with its name."""
    found = [(d["kind"] + "/" + d["metadata"]["name"], d["spec"]["template"]["spec"])
             for d in documents if d["kind"] in ("Deployment", "Job")]
    require(found, "there is no Deployment and no Job")
    return found


def environment(container):
    return {e["name"]: e.get("value") for e in container.get("env", [])}


def check_schema(documents):
    require(documents, "the file is empty")
    for document in documents:
        for version in (OLDEST, kubernetes_validate.latest_version()):
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as e:
                where = ".".join(str(p) for p in e.path)
                sys.exit(f"{document['kind']}: {where or 'at the top'}: {e.message} (Kubernetes {version})")


def check_restricted(documents):
    for name, pod in pods(documents):
        whole = pod.get("securityContext", {})
        require(whole.get("runAsNonRoot") is True, f"{name} may run as root")
        require(isinstance(whole.get("runAsUser"), int) and whole["runAsUser"] > 0, f"{name} names no user")
        seccomp = whole.get("seccompProfile", {}).get("type")
        require(seccomp == "RuntimeDefault", f"{name} has the seccomp profile {seccomp}")
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            require(not pod.get(key), f"{name} shares {key} with its node")
        for volume in pod.get("volumes", []):
            kinds = set(volume) - {"name"}
            require(kinds <= ALLOWED_VOLUMES, f"{name} has a volume of kind {kinds}")
        for container in pod["containers"] + pod.get("initContainers", []):
            own = container.get("securityContext", {})
            require(own.get("allowPrivilegeEscalation") is False, f"{name} may gain privileges")
            require(own.get("capabilities", {}).get("drop") == ["ALL"], f"{name} keeps capabilities")
            require("add" not in own.get("capabilities", {}), f"{name} adds capabilities")
            require(own.get("readOnlyRootFilesystem") is True, f"{name} may write to its root")
            require(not own.get("privileged"), f"{name} is privileged")
            require(container["resources"].get("limits", {}).get("memory"), f"{name} has no memory limit")


def check_probes(documents):
    name, pod = next(p for p in pods(documents) if p[0].startswith("Deployment/"))
    container = pod["containers"][0]
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    paths = {"startupProbe": "/health", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        asks = container[probe]["httpGet"]
        require(asks["path"] == path, f"{probe} asks {asks['path']}, not {path}")
        require(ports.get(asks["port"]) == 8000, f"{probe} asks a port that the container does not name")
    delay = float(environment(container)["BERTH_DRAIN_DELAY"])
    grace = float(environment(container)["BERTH_GRACE"])
    period = container["readinessProbe"]["periodSeconds"]
    require(delay > period, f"the drain delay of {delay} s is not above the readiness probe's {period} s")
    require(pod["terminationGracePeriodSeconds"] > delay + grace,
            f"{name} is killed before {delay} s of draining and {grace} s of grace are over")


def check_links(documents):
    for name, pod in pods(documents):
        require(pod.get("enableServiceLinks") is False, f"{name} gets BERTH_PORT from a Service called berth")
        require(pod.get("automountServiceAccountToken") is False, f"{name} carries a token of the cluster")
    services = [d for d in documents if d["kind"] == "Service"]
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in documents if d["kind"] == "Deployment"]
    for service in services:
        require(any(service["spec"]["selector"].items() <= found.items() for found in labels),
                f"Service/{service['metadata']['name']} selects no Pod")


def main():
    check, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        documents = [d for d in yaml.safe_load_all(file) if d]
    globals()["check_" + check](documents)


main()
