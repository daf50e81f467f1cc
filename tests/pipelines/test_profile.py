import re

import pytest

from pipelines.profile import load_profile, names
from pipelines.settings import CorpusData, Profile, QwenJudge, WorldData
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import FolderBase, GroundingBase, HubBase, PublishedEditor


@pytest.mark.parametrize("name", names())
def test_every_profile_validates(name):
    load_profile(name)


def test_the_profiles_are_those_of_the_readme():
    assert names() == ["one-gpu", "paper", "rehearsal", "tiny"]


def test_a_profile_says_only_what_is_different():
    paper = load_profile("paper")
    assert isinstance(paper.judge.base, HubBase)
    assert isinstance(paper.editor, PublishedEditor)
    assert paper.editor.name.startswith("hub:OmniGen2/OmniGen2@")
    assert (paper.editor.lora.rank, paper.editor.lora.alpha) == (32, 64)
    assert paper.judge.gate.max_unparsable_share == 0.01
    assert paper.editor_gate == Profile().editor_gate
    assert paper.resources["train_judge"].gpus == 8


@pytest.mark.parametrize("name", ["paper", "one-gpu"])
def test_a_large_judge_inherits_nothing_from_the_tiny_one(name):
    judge = load_profile(name).judge
    assert isinstance(judge, QwenJudge)
    training = judge.training
    assert (training.protocol, training.optimiser.matrices) == ("full", "adamw")
    assert (training.tuning.rank, training.tuning.alpha, training.tuning.dropout) == (32, 64, 0.05)
    assert training.optimiser.learning_rate == 1e-4
    assert not training.trains_vision
    assert training.drawn_share == training.earlier_share == 0


def test_the_paper_is_trained_as_published():
    paper = load_profile("paper")
    training, nodes = paper.judge.training, paper.resources["train_judge"]
    gpus = nodes.num_nodes * nodes.gpus
    assert training.deepspeed == "zero3"
    assert training.optimiser.batch_size == gpus * training.samples_at_a_time * 2
    assert training.num_steps == pytest.approx(10 * 1_016, abs=5), "ten epochs of 260,000"
    assert isinstance(paper.data, CorpusData)
    grpo = paper.judge.grpo
    assert (grpo.num_generations, grpo.kl_weight, grpo.sampling.temperature) == (4, 0.02, 0.9)
    assert (grpo.optimiser.learning_rate, grpo.optimiser.batch_size) == (5e-7, 64)


def test_weights_of_the_hub_need_a_commit(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "[judge]\nkind = 'qwen3-vl'\n"
        "[judge.base]\nkind = 'hub'\nrepository = 'Qwen/Qwen3-VL-2B-Instruct'\n"
    )
    with pytest.raises(
        InvalidInputError,
        match=r"expected a commit of Qwen/Qwen3-VL-2B-Instruct, 40 letters; "
        r"`git ls-remote https://huggingface\.co/Qwen/Qwen3-VL-2B-Instruct HEAD`",
    ):
        load_profile(str(file))
    with pytest.raises(InvalidInputError, match="40 letters, got 'main'; "):
        load_profile(str(file), ["judge.base.revision=main"])
    file.write_text("[editor]\nkind = 'published'\nbase = { kind = 'hub', repository = 'a/b' }\n")
    with pytest.raises(
        InvalidInputError, match=r"editor\.base: revision: expected a commit of a/b"
    ):
        load_profile(str(file))
    file.write_text(
        "[judge]\nkind = 'qwen3-vl'\n"
        "[judge.base]\nkind = 'hub'\nrepository = 'Qwen/Qwen3-VL-2B-Instruct'\n"
    )
    commit = "a" * 40
    judge = load_profile(str(file), [f"judge.base.revision={commit}"]).judge
    assert judge.base == HubBase(repository="Qwen/Qwen3-VL-2B-Instruct", revision=commit)


def test_data_of_a_profile_may_be_replaced_by_a_file_that_says_how_to_build_some(tmp_path):
    file = tmp_path / "edits.toml"
    file.write_text("name = 'mine'\n[source]\nkind = 'world'\n")
    profile = load_profile("tiny", corpus=file)
    assert profile.data.corpus.name == "mine"
    assert profile.world == Profile().world
    file.write_text("name = 'mine'\nnum_shard = 3\n[source]\nkind = 'world'\n")
    with pytest.raises(InvalidInputError, match=rf"^{file}: data.corpus.num_shard: no such key"):
        load_profile("tiny", corpus=file)


def test_the_world_of_steps_is_the_profiles():
    profile = load_profile("tiny", ["data.num_train=32"])
    assert isinstance(profile.data, WorldData)
    assert profile.world.num_train == 32
    assert "kind" not in profile.world.model_dump()


def test_a_later_override_wins_and_leaves_its_siblings(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[rl]\nnum_steps = 3\ngroup_size = 4\n")
    profile = load_profile(str(file), ["rl.num_steps=5", "rl.num_steps=7"])
    assert profile.rl.num_steps == 7
    assert profile.rl.group_size == 4
    assert profile.rl.num_prompts == Profile().rl.num_prompts


def test_a_profile_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf[rl]\r\nnum_steps = 3\r\n")
    assert load_profile(str(file)).rl.num_steps == 3


def test_a_table_keeps_the_defaults_of_its_place():
    here = Profile().judge.training.optimiser
    changed = load_profile("tiny", ["judge.training.optimiser.batch_size=16"])
    expected = {"batch_size": 16, "learning_rate": 4e-4}
    assert changed.judge.training.optimiser == here.model_copy(update=expected)


def test_another_kind_has_its_own_settings():
    grounding = load_profile(
        "tiny", ["judge.base.kind=grounding", "judge.base.grounding.num_scene_samples=64"]
    ).judge.base
    assert isinstance(grounding, GroundingBase)
    assert grounding.grounding.num_scene_samples == 64
    folder = load_profile("tiny", ["judge.base.kind=folder", "judge.base.folder=some/where"])
    assert isinstance(folder.judge.base, FolderBase)


def test_the_order_of_a_kind_and_its_settings_does_not_matter():
    settings = ["judge.base.grounding.num_scene_samples=64", "judge.base.kind=grounding"]
    assert load_profile("tiny", settings) == load_profile("tiny", settings[::-1])


def test_another_kind_than_the_files_forgets_the_files_settings(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[judge.base]\nkind = 'folder'\nfolder = 'some/where'\n")
    changed = load_profile(str(file), ["judge.base.kind=shipped"])
    assert changed.judge.base == Profile().judge.base


def test_every_seed_is_listed():
    assert set(load_profile("tiny").seeds()) == {
        "data.seed",
        "judge.training.seed",
        "editor.pretraining.seed",
        "drawing.seed",
        "rl.seed",
        "rl.watch.seed",
        "editor_evaluation.seed",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[rl]\nnum_step = 3", "rl.num_step: no such key, did you mean rl.num_steps?"),
        ("[rll]\nnum_steps = 3", "rll: no such key, did you mean rl?"),
        ("[rl]\nnum_steps = 0", "rl.num_steps: Input should be greater than 0, got 0"),
        ("[rl]\ngroup_size = 'many'", "rl.group_size: Input should be a valid integer"),
        ("[rl.sampling]\neta = -1", "rl.sampling.eta: Input should be greater than or equal to 0"),
        (
            "[editor.pretraining]\nstage_shares = [0.6, 0.3]",
            "editor.pretraining: stage_shares [0.6, 0.3] of 1250 steps: expected ascending ones",
        ),
        ("[judge.gate]\nmin_mean_iou = 2", "judge.gate.min_mean_iou: Input should be less than"),
        ("[judge.base]\nkind = 'cloud'", 'judge.base.kind: expected one of "shipped", '),
        ("[judge.base]\nkind = 'folder'", "judge.base.folder: Field required"),
        ("[editor]\nkind = 'omnigen2'", 'editor.kind: expected one of "tiny", "published"'),
        (
            "[editor]\nkind = 'published'\nrank = 3\nbase = { kind = 'folder', folder = 'a' }",
            "editor.rank: no such key",
        ),
        (
            "[editor]\nkind = 'published'\nbase = { kind = 'artifact', reference = 's3://a' }",
            "editor.base.reference: 's3://a': expected s3://BUCKET/PREFIX#sha256=HEX",
        ),
        ("[data.grades]\nright = 0.9", "data: grades: expected shares that sum to 1, got 1.5"),
        ("[resources.train]\ngpus = 1", "resources.train: Input should be 'build_shard'"),
        ("rl = 3", "rl: Input should be a table of keys and values, got 3"),
        ("rl = [", "Invalid value"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(tmp_path, text, complaint):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        load_profile(str(file))
    assert str(caught.value).startswith(f"{file}: {complaint}")
    assert "\n" not in str(caught.value)


def test_a_wrong_override_is_named_as_such():
    with pytest.raises(InvalidInputError, match=r"^--set rl.eta=1: rl.eta: no such key"):
        load_profile("tiny", ["rl.eta=1"])
    with pytest.raises(InvalidInputError, match="--set rl: expected KEY=VALUE"):
        load_profile("tiny", ["rl"])


def test_a_profile_that_is_not_there_is_named():
    with pytest.raises(
        InvalidInputError, match="profile huge: expected one of one-gpu, paper, rehearsal, tiny"
    ):
        load_profile("huge")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("resources.evaluate_judge.num_nodes=2", "only train_judge and finetune_editor run on "),
        ("resources.train_judge.gpu_type=H100", "gpu_type is given, but gpus is 0"),
        ("resources.train_judge.priority='very high'", "resources.train_judge.priority: String"),
        ("resources.train_judge.retries=11", "resources.train_judge.retries: "),
        (
            'resources.train_judge.tolerations=[{key="a",operator="Exists",value="b"}]',
            "operator Exists takes no value",
        ),
        ('resources.train_judge.tolerations=[{key="a"}]', "operator Equal needs a value"),
        ("resources.train_jugde.gpus=1", "resources.train_jugde: "),
    ],
)
def test_what_a_pod_cannot_have_is_refused_by_key(change, complaint):
    with pytest.raises(InvalidInputError, match=re.escape(complaint)) as caught:
        load_profile("tiny", [change])
    assert str(caught.value).startswith(f"--set {change}: ")


def test_a_rival_keeps_the_settings_of_its_profile_but_for_its_kind():
    usual = load_profile("paper")
    rival = load_profile("paper", ["judge.training.kind=scores", "judge.gate.min_mean_iou=0"])
    expected = usual.judge.training.model_copy(update={"kind": "scores"})
    assert rival.judge.training == expected


def test_a_rival_that_could_never_pass_its_gate_is_refused():
    with pytest.raises(InvalidInputError, match="of kind no_regions predicts no regions and would"):
        load_profile("tiny", ["judge.training.kind=no_regions"])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (["judge.grpo.num_steps=3"], "judge.grpo.rewards.consistency: needs a consistency_judge"),
        (
            ["judge.grpo.rewards.consistency=0", "judge.training.kind=discriminative"],
            "judge.grpo: a judge of kind discriminative writes no answers to be rewarded",
        ),
        (
            [
                "judge.grpo.rewards.consistency=0",
                "judge.training.tuning.kind=lora",
                "judge.training.tuning.merge=false",
                "judge.training.trains_vision=false",
            ],
            "judge.grpo: starts from a whole judge, expected judge.training.tuning.merge = true",
        ),
    ],
)
def test_a_judge_that_grpo_cannot_go_on_with_is_refused(change, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        load_profile("tiny", change)
