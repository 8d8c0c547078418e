"""A Ray cluster of two nodes on this machine, one of which is killed: the results are those of local workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray import cloudpickle
from ray.cluster_utils import Cluster

from codesign.study import run_study
from codesign.study.engine import run
from codesign.study.engine.processes import ray_workers
from codesign.study.engine.status import Status
from tests.codesign.study.engine import made_up
from tests.codesign.study.engine.made_up import MadeUp, study
from tests.codesign.study.engine.test_run import found

MEMORY = 80 << 20  # bytes of a node's object store; the least


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    started = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False},
    )
    cloudpickle.register_pickle_by_value(made_up)  # the nodes have no tests
    yield started
    cloudpickle.unregister_pickle_by_value(made_up)
    ray.shutdown()
    started.shutdown()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_cluster_that_loses_a_node_gives_the_same(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = MadeUp({"run": 0.1, "run-16-8-16": "die once"}, tmp_path / "log")
    nodes = []

    def change(status: Status) -> None:
        """The head has no processors: a node does the first tasks, and is killed when another one has joined."""
        if not nodes or (len(nodes) == 1 and len(evaluator.executions()) > 4):
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=MEMORY))
            if len(nodes) == 2:
                cluster.remove_node(nodes[0], allow_graceful=False)

    monkeypatch.setattr(run, "STATUS_SECONDS", 0.0)
    result = run_study(study(), tmp_path / "ray", ray=cluster.address, on_status=change, evaluator=evaluator)
    assert len(nodes) == 2
    assert len(set(evaluator.processes())) > 1 and os.getpid() not in evaluator.processes()
    assert found(result) == found(run_study(study(), tmp_path / "local", workers=1, evaluator=MadeUp()))
    assert result.provenance["workers"].startswith(f"Ray cluster {cluster.address}")
    assert not ray.is_initialized()


def test_an_address_without_a_cluster_is_a_sentence_at_once(tmp_path: Path) -> None:
    for address, sentence in {
        "127.0.0.1:1": r"--ray 127\.0\.0\.1:1: nobody answers there \(Connection refused\)",
        "nowhere": r"--ray must be HOST:PORT of a cluster, or auto, not 'nowhere'",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            ray_workers.RayWorkers(MadeUp(), address)
    assert not ray.is_initialized()
