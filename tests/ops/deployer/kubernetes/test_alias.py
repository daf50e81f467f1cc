from spatialreward.ops.deployer.config import DeployerConfig
from spatialreward.ops.deployer.loop import Deployer
from spatialreward.ops.deployer.reconcile import Outcome

from .judge_servers import Script


def test_a_version_that_the_cluster_cannot_serve_gives_the_alias_back(
    cluster, backend_of, registry, tmp_path
):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    backend = backend_of(name=registry.name)
    deployer = Deployer(DeployerConfig(name=registry.name, backend=backend.config), backend)
    registry.promote(folder)
    assert deployer.once().outcome is Outcome.DEPLOYED
    assert registry.serving(1) == "served"
    cluster.scripts[2] = Script(crashes="these weights are broken")
    registry.promote(folder)
    look = deployer.once()
    assert look.outcome is Outcome.FAILED
    assert "these weights are broken" in look.message
    assert registry.champion() == 1
    assert registry.serving(2).startswith("failed: judge-v2-0, triton: CrashLoopBackOff")
    assert deployer.once().outcome is Outcome.UNCHANGED
    assert cluster.names("deployments") == ["judge-v1"]
