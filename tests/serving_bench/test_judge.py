from serving.bench.judge import bench_judge
from spatialreward.judges.engines.engine import Judge


def test_a_judge_is_trained_once_and_found_again(tmp_path):
    folder = bench_judge(tmp_path, num_samples=24)
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert bench_judge(tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert Judge.load(folder).notice
