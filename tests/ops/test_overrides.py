import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import EditorRlStep, JudgeTrainingStep, ShippedBase
from spatialreward.ops.overrides import Table, settings_over
from spatialreward.rl.config import RlConfig
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.world.config import DataConfig

USUAL = EditorRlStep(rl=RlConfig(), world=DataConfig())


def test_a_file_stands_over_what_is_usual_and_an_override_over_both(tmp_path):
    file = tmp_path / "rl.toml"
    file.write_text("[rl]\nnum_steps = 3\nsampling.eta = 0.5\n")
    read = settings_over(
        USUAL, [Table.read(file)], ["rl.num_steps=4", "rl.num_steps=5", "rl.prompts=data/edits"]
    )
    assert read.rl.num_steps == 5
    assert read.rl.sampling.eta == 0.5
    assert read.rl.sampling.num_denoising_steps == USUAL.rl.sampling.num_denoising_steps
    assert read.rl.prompts == "data/edits"
    assert read.world == USUAL.world
    assert settings_over(USUAL, []) == USUAL


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("rl.num_steps", "--set rl.num_steps: expected KEY=VALUE, such as rl.num_steps=3"),
        ("=3", "--set =3: expected KEY=VALUE"),
        ("rl.num_steps=0", "--set rl.num_steps=0: rl.num_steps: Input should be greater than 0"),
        ("rl.nosuch=1", "--set rl.nosuch=1: rl.nosuch: no such key"),
        ("rl=3", "--set rl=3: rl: "),
    ],
)
def test_an_override_that_cannot_be_is_named(override, complaint):
    with pytest.raises(InvalidInputError) as refused:
        settings_over(USUAL, [], [override])
    assert str(refused.value).startswith(complaint)


def test_a_file_that_cannot_be_is_named(tmp_path):
    file = tmp_path / "rl.toml"
    file.write_text("[rl]\ngroup_size = 1\n")
    with pytest.raises(InvalidInputError, match=r"rl.toml: rl.group_size: Input should be"):
        settings_over(USUAL, [Table.read(file)], ["rl.num_steps=3"])


def test_a_variant_stands_over_its_own_defaults_and_not_over_the_usual_ones():
    usual = JudgeTrainingStep(
        base=ShippedBase(), training=JudgeTrainingConfig(), world=DataConfig()
    )
    asked = []

    def defaults_of(place, kind):
        asked.append((place, kind))
        return {"kind": kind, "folder": "usual"}

    changed = settings_over(usual, [], ["base.kind=folder"], defaults_of)
    assert asked == [("base", "folder")]
    assert str(changed.base.folder) == "usual"


def test_a_kind_that_chooses_no_other_record_is_a_setting_as_any(tmp_path):
    file = tmp_path / "training.toml"
    file.write_text("kind = 'no_regions'\nnum_samples = 96\n[tuning]\nkind = 'lora'\nrank = 2\n")
    read = settings_over(
        JudgeTrainingConfig(seed=5, trains_vision=False), [Table.read(file)], ["kind=scores"]
    )
    assert (read.kind, read.seed, read.num_samples, read.tuning.rank) == ("scores", 5, 96, 2)
    full = settings_over(read, [], ["tuning.kind=full"])
    assert (full.kind, full.tuning.kind) == ("scores", "full")
