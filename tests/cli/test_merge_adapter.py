import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import CheckpointFolder
from spatialreward.protocol.prompts import TINY, Protocol
from tests.judges.models import small_model, write_model

# peft 0.21 asks transformers 5.23 for what has another name there.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def folders(untrained, tmp_path):
    tokenizer = untrained[1].tokenizer
    base = small_model("qwen3_vl_moe", tokenizer).to(torch.bfloat16)
    write_model(tmp_path / "base", base, tokenizer)
    (tmp_path / "base" / "card.json").write_text('{"notice": "mine"}')
    TINY.write(tmp_path / "base")
    model = get_peft_model(
        small_model("qwen3_vl_moe", tokenizer), LoraConfig(r=2, target_modules=["o_proj"])
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(parameter)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "base", tmp_path / "adapter"


def run(base, adapter, out):
    options = ["--model", base, "--adapter", adapter, "--out", out]
    return CliRunner().invoke(app, ["train", "merge-adapter", *map(str, options)])


def test_a_merged_checkpoint_is_the_base_with_the_adapter_applied(folders, tmp_path):
    base, adapter = folders
    out = tmp_path / "merged"
    done = run(base, adapter, out)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{base} with {adapter} merged is in {out}\n"
    found = CheckpointFolder.read(out)
    assert found.card == {"notice": "mine", "adapter": str(adapter)}
    assert Protocol.read(out) == TINY
    assert {one.dtype for one in found.tensors.values()} == {"BF16"}
    merged = checkpoint.load(out, None)[0].state_dict()
    expected = checkpoint.load(base, None, adapter=adapter)[0].state_dict()
    before = checkpoint.load(base, None)[0].state_dict()
    for name, tensor in merged.items():
        assert torch.equal(tensor, expected[name].to(torch.bfloat16).float()), name
        assert torch.equal(tensor, before[name]) is ("o_proj" not in name), name


def test_nothing_is_written_where_they_do_not_fit(folders, tmp_path):
    base, adapter = folders
    before = set(tmp_path.iterdir())
    path = adapter / "adapter_config.json"
    settings = json.loads(path.read_text()) | {"target_modules": ["c_attn"]}
    path.write_text(json.dumps(settings))
    done = run(base, adapter, tmp_path / "merged")
    assert done.exit_code == 1
    assert "not found in the base model" in done.stderr
    assert "is there already" in run(base, adapter, base).stderr
    assert set(tmp_path.iterdir()) == before
    assert load_file(adapter / "adapter_model.safetensors")
