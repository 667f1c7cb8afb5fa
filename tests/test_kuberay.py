"""The scan on Kubernetes, as far as it can be tried without a cluster."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from listen_edge.cli.scan import scan

ROOT = Path(__file__).parent.parent
# Fields of RayJob v1 that may be set; ray-project/kuberay v1.7.0, ray-operator/apis/ray/v1.
SPEC = {
    *("activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint"),
    *("entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy"),
    *("metadata", "preRunningDeadlineSeconds", "rayClusterSpec", "runtimeEnvYAML"),
    *("shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate"),
    *("suspend", "ttlSecondsAfterFinished"),
}
CLUSTER = {
    *("authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions"),
    *("headGroupSpec", "headServiceAnnotations", "managedBy", "rayVersion", "suspend"),
    *("upgradeStrategy", "workerGroupSpecs"),
}
HEAD = {"enableIngress", "headService", "labels", "rayStartParams", "resources", "serviceType"}
GROUP = {
    *("groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts"),
    *("rayStartParams", "replicas", "resources", "scaleStrategy", "suspend", "template"),
}


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    found = list(yaml.safe_load_all((ROOT / "docker/scan-job.yaml").read_text()))
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def job(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    assert objects["RayJob"]["apiVersion"] == "ray.io/v1"
    spec: dict[str, Any] = objects["RayJob"]["spec"]
    return spec


def test_its_fields_are_those_of_kuberay(job: dict[str, Any]) -> None:
    cluster = job["rayClusterSpec"]
    assert job.keys() <= SPEC and cluster.keys() <= CLUSTER
    assert {"template"} <= cluster["headGroupSpec"].keys() <= HEAD | {"template"}
    required = {"groupName", "minReplicas", "maxReplicas", "template"}
    assert all(required <= group.keys() <= GROUP for group in cluster["workerGroupSpecs"])
    for one in _groups(job):  # its types: strings alone
        assert all(isinstance(value, str) for value in one["rayStartParams"].values())


def test_all_nodes_have_one_image_and_see_one_archive(
    objects: dict[str, dict[str, Any]], job: dict[str, Any]
) -> None:
    claim = objects["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    images, places = set(), set()
    for one in _groups(job):
        pod = one["template"]["spec"]
        (container,) = pod["containers"]
        images.add(container["image"])
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
        claims = [v for v in pod["volumes"] if "persistentVolumeClaim" in v]
        assert [v["persistentVolumeClaim"]["claimName"] for v in claims] == [
            claim["metadata"]["name"]
        ]
        places.add(mounted[claims[0]["name"]])
    assert len(images) == len(places) == 1
    assert _asked(job)["out"].is_relative_to(places.pop())


def test_its_command_is_ours_and_the_cluster_has_room_for_it(job: dict[str, Any]) -> None:
    asked, cpus = _asked(job), 0
    assert asked["address"] == "auto" and job["backoffLimit"] > 0
    for group in job["rayClusterSpec"]["workerGroupSpecs"]:
        size = group["template"]["spec"]["containers"][0]["resources"]["requests"]
        cpus += group["minReplicas"] * int(size["cpu"])
        assert float(size["memory"].removesuffix("Gi")) >= int(size["cpu"]) * 0.75
    assert asked["workers"] * asked["threads"] == cpus
    assert job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_image_is_built_with_that_ray(job: dict[str, Any]) -> None:
    version = job["rayClusterSpec"]["rayVersion"]
    for path in ("docker/scan-job.yaml", "docs/scale.md"):
        told = re.findall(r"--build-arg (\w+)=\"?([^\s\"]+)", (ROOT / path).read_text())
        assert ("PACKAGES", f"ray[default]=={version}") in told, path
        arguments = re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.M)
        assert {name for name, _ in told} <= set(arguments)


def _groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def _asked(job: dict[str, Any]) -> dict[str, Any]:
    program, command, *arguments = shlex.split(job["entrypoint"])
    assert (program, command) == ("listen-edge", "scan")
    context: click.Context = scan.make_context("scan", arguments)
    return context.params
