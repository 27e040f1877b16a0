"""The files of docs/cluster: Slurm's script in miniature, with stand-ins for Slurm, and the manifest's field names."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.simulated import ORDERS, simulated
from bench.soak import draws_in
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from evalkit.suite.schema import load_suite
from tests.inference.engines.test_openai import free_port
from tests.test_two_processes import CALLS, PROMPTS, N, calls_of, write_suite

CLUSTER = Path(__file__).parent.parent / "docs" / "cluster"
FIELDS: Mapping[str, set[str]] = {
    "RayJobSpec": {
        "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata",
        "clusterSelector", "submitterConfig", "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML", "jobId",
        "submissionMode", "entrypointResources", "entrypointNumCpus", "entrypointNumGpus", "ttlSecondsAfterFinished",
        "shutdownAfterJobFinishes", "suspend",
    },
    "RayClusterSpec": {
        "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations", "enableInTreeAutoscaling",
        "gcsFaultToleranceOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs",
    },
    "HeadGroupSpec": {"template", "headService", "enableIngress", "rayStartParams", "serviceType"},
    "WorkerGroupSpec": {
        "suspend", "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "rayStartParams",
        "template", "scaleStrategy", "numOfHosts",
    },
}  # fmt: skip
"""Of KubeRay's API ray.io/v1, from its reference (docs/reference/api.md of ray-project/kuberay)."""
SRUN = """#!/bin/bash
# As many local processes as --ntasks says, one after the other in number.
tasks=1
while [[ $1 == --* ]]; do [[ $1 == --ntasks=* ]] && tasks=${1#--ntasks=}; shift; done
for ((task = 1; task < tasks; task++)); do "$@" & done
exec "$@"
"""
SCONTROL = """#!/bin/bash
[[ "$1 $2 $3" == "show hostnames node[1-2]" ]] && printf 'node1\\nnode2\\n'
"""
EVALKIT = f"""#!{sys.executable}
import re
import sys
from pathlib import Path
from bench.simulated import simulated
from evalkit.cli.main import main
with simulated(Path(sys.argv[0]).parent):
    main([re.sub("^ray(?=@|$)", "ray:simulated", word) for word in sys.argv[1:]])
"""


def test_the_manifest_has_no_field_that_kuberay_does_not_know() -> None:
    manifest = yaml.safe_load((CLUSTER / "rayjob.yaml").read_text(encoding="utf-8"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    job, cluster = manifest["spec"], manifest["spec"]["rayClusterSpec"]
    [workers] = cluster["workerGroupSpecs"]
    parts = {"RayJobSpec": job, "RayClusterSpec": cluster, "HeadGroupSpec": cluster["headGroupSpec"]}
    for name, part in (parts | {"WorkerGroupSpec": workers}).items():
        assert set(part) <= FIELDS[name], name
    for group in (cluster["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        check_pod(group["template"]["spec"])


def check_pod(pod: Mapping[str, Any]) -> None:
    """Its mounts are of volumes that it has."""
    [container] = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert set(container["resources"]) == {"limits", "requests"}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what stands in for commands: `evalkit` has a simulated engine."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "evalkit": EVALKIT}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    orders = tmp_path / "orders.json"  # Ray's workers get the environment of their node
    orders.write_text(json.dumps({"log": str(tmp_path / "run.logs" / "log.txt")}))
    (tmp_path / "run.logs").mkdir()
    folders = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
    for name, value in {
        "PATH": os.pathsep.join(folders),
        "PYTHONPATH": str(CLUSTER.parent.parent),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
        ORDERS: str(orders),
    }.items():
        monkeypatch.setenv(name, value)
    return commands


@pytest.fixture
def slurm(commands: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An allocation of two nodes, both on this machine."""
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-2]")
    monkeypatch.setenv("SLURM_JOB_ID", str(os.getpid()))
    return commands


needs_ray = pytest.mark.skipif(
    not shutil.which("ray", path=str(Path(sys.executable).parent)), reason="Ray is not installed"
)


@pytest.mark.slow
@needs_ray
def test_the_script_for_slurm_runs_a_suite_on_the_nodes_of_its_allocation(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = write_suite(tmp_path, "suite.yaml")
    job = subprocess.Popen(
        [str(CLUSTER / "slurm.sh"), str(suite), str(tmp_path / "run"), "--tag", "tried"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = job.communicate(timeout=300)
        assert job.returncode == 0, said
        assert "Traceback" not in said
        assert "2 of 2 nodes are there" in said
        assert calls_of(tmp_path / "run") == CALLS
        assert set(draws_in(tmp_path / "run").values()) == {1}
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another-cache"))
        with simulated(tmp_path):
            alone = run_suite(load_suite(suite), "simulated", tmp_path / "alone", Quiet())
        assert (tmp_path / "run" / "summary.json").read_bytes() == (alone.folder / "summary.json").read_bytes()
        assert alone.sampled == PROMPTS * N
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)


@pytest.mark.slow
@needs_ray
@pytest.mark.usefixtures("commands")
def test_the_manifest_s_command_runs_a_suite_on_a_head_and_a_worker_that_are_started_as_it_says(tmp_path: Path) -> None:
    spec = yaml.safe_load((CLUSTER / "rayjob.yaml").read_text(encoding="utf-8"))["spec"]
    head, [workers] = spec["rayClusterSpec"]["headGroupSpec"], spec["rayClusterSpec"]["workerGroupSpecs"]
    suite, run = write_suite(tmp_path, "suite.yaml"), tmp_path / "run"
    entrypoint = spec["entrypoint"].replace("/suite/suite.yaml", str(suite)).replace("/shared/runs/creative", str(run))
    address = f"127.0.0.1:{free_port()}"
    # With a token, so that whatever a file of this user's says of tokens does not matter.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | {"RAY_ADDRESS": address} | token | stated(head)
    nodes = []
    try:
        nodes.append(start_node(["--head", f"--port={address.partition(':')[2]}"], head, environment))
        # A container's limits are what Ray counts in Kubernetes; here it would count this machine's.
        nodes.append(start_node([f"--address={address}", "--num-cpus=1"], workers, environment | stated(workers)))
        job = subprocess.run(
            entrypoint.split(), env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    finally:
        for node in nodes:
            os.killpg(node.pid, signal.SIGTERM)
            node.communicate()
    assert job.returncode == 0, job.stderr
    assert calls_of(run) == CALLS
    assert set(draws_in(run).values()) == {1}


def stated(group: Mapping[str, Any]) -> dict[str, str]:
    """What a group's container has in its environment, but for folders that are not here."""
    [container] = group["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if not one["value"].startswith("/")}


def start_node(
    options: Sequence[str], group: Mapping[str, Any], environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """`ray start` as KubeRay calls it, once it says that Ray runs."""
    own = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
    node = subprocess.Popen(
        ["ray", "start", "--block", "--disable-usage-stats", *options, *own],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in environment.items() if name != "RAY_ADDRESS"},
        start_new_session=True,
    )
    assert node.stdout is not None
    said = []
    while "Ray runtime started" not in (line := node.stdout.readline()):
        said.append(line)
        assert line, "".join(said)
    return node
