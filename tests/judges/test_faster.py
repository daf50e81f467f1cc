"""A model made faster computes what transformers has it compute."""

import copy
import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.faster import make_faster
from spatialreward.judges.qwen_vl.folder import MODEL_TYPES
from spatialreward.judges.qwen_vl.processor import Processor
from tests.judges.models import image_processor, small_model

ANSWERS = ["yes", "a long answer", "no"]


class Counted(TorchDispatchMode):
    """Names of the operations that were called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))

    def count(self, part):
        return sum(part in name for name in self.names)


@pytest.fixture(scope="module")
def processor(untrained):
    return Processor(untrained[1].tokenizer, image_processor(), None)


def encoded(processor, sides):
    """Three questions about pictures of those sides, the first one about two of them."""
    rng = np.random.default_rng(0)
    a, b, c, d = (
        Image.fromarray(rng.integers(0, 256, (*side, 3), dtype=np.uint8)) for side in sides
    )
    parts = [("judge", a, "against", b), (c, "words"), ("many more words", d)]
    return processor.encode([Question(one) for one in parts], ANSWERS)


@pytest.fixture(scope="module")
def unequal(processor):
    return encoded(processor, ((40, 64), (64, 64), (32, 48), (64, 64)))


@pytest.fixture(scope="module")
def equal(processor):
    return encoded(processor, ((64, 64),) * 4)


def both(kind, processor):
    """A model as transformers has it, and the same one made faster."""
    stock = small_model(kind, processor.tokenizer)
    fast = copy.deepcopy(stock)
    make_faster(fast)
    return stock, fast


def outcome(model, inputs):
    """Loss, logits and gradients."""
    model.zero_grad()
    output = model(**inputs)
    output.loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    return output.loss.detach(), output.logits.detach(), gradients


def assert_alike(expected, got, share=1e-4):
    """Equal to a share of the largest value, since sums of many terms round differently."""
    assert (expected - got).abs().max() <= share * expected.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize("kind", MODEL_TYPES)
@pytest.mark.parametrize("sizes", ["equal", "unequal"])
def test_loss_logits_and_gradients_are_the_same(kind, sizes, processor, request):
    inputs = request.getfixturevalue(sizes)
    stock, fast = both(kind, processor)
    expected, got = outcome(stock, inputs), outcome(fast, inputs)
    assert_alike(expected[0], got[0])
    assert_alike(expected[1], got[1])
    for name, gradient in expected[2].items():
        assert_alike(gradient, got[2][name])


def test_a_copy_of_a_faster_model_is_one_of_its_own(processor, equal):
    _, fast = both("qwen3_vl", processor)
    copied = copy.deepcopy(fast)
    before = outcome(fast, equal)
    with torch.no_grad():
        copied.model.visual.patch_embed.proj.weight.zero_()
    assert_alike(before[1], outcome(fast, equal)[1])
    assert (before[1] - outcome(copied, equal)[1]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_a_saved_checkpoint_looks_as_published(kind, processor, tmp_path):
    stock, fast = both(kind, processor)
    kernel = fast.state_dict()["model.visual.patch_embed.proj.weight"]
    assert kernel.shape == (32, 3, 1, 8, 8)
    shapes = [
        {name: one.shape for name, one in each.state_dict().items()} for each in (stock, fast)
    ]
    assert shapes[0] == shapes[1]
    for name, model in (("stock", stock), ("fast", fast)):
        model.save_pretrained(tmp_path / name)
    files = [{one.name for one in (tmp_path / name).iterdir()} for name in ("stock", "fast")]
    assert files[0] == files[1]
    for name in files[0]:
        contents = [(tmp_path / side / name).read_bytes() for side in ("stock", "fast")]
        assert contents[0] == contents[1], name
    assert json.loads((tmp_path / "fast" / "config.json").read_text())["architectures"] == [
        type(stock).__name__
    ]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # Asked by peft.
@pytest.mark.parametrize("targets", [["proj"], "all-linear", r".*language_model.*\.(q|gate)_proj"])
def test_adapters_are_placed_and_compute_as_before(targets, processor, unequal):
    config = LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    models = []
    for model in both("qwen3_vl", processor):
        torch.manual_seed(1)
        models.append(get_peft_model(model, config))
    names = [[name for name, _ in model.named_parameters()] for model in models]
    assert names[0] == names[1]
    expected, got = (outcome(model, unequal) for model in models)
    assert_alike(expected[1], got[1])
    for name, gradient in expected[2].items():
        if gradient is None:
            assert got[2][name] is None
        else:
            assert_alike(gradient, got[2][name])


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_the_same_when_activations_are_recomputed(reentrant, processor, unequal):
    stock, fast = (model.train() for model in both("qwen3_vl", processor))
    expected = outcome(stock, unequal)[2]
    fast.enable_input_require_grads()
    fast.activation_checkpointing_enable({"use_reentrant": reentrant})
    for name, gradient in outcome(fast, unequal)[2].items():
        assert_alike(expected[name], gradient)


def test_pictures_of_one_size_share_a_call_of_the_attention(processor, equal, unequal):
    stock, fast = both("qwen3_vl", processor)
    calls = []
    for model, inputs in ((stock, equal), (fast, equal), (fast, unequal)):
        with torch.no_grad(), Counted() as counted:
            model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        calls.append((counted.count("scaled_dot_product"), counted.count("convolution")))
    # Two layers; the four unequal pictures have three sizes.
    assert calls == [(8, 1), (2, 0), (6, 0)]


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_eager_attention_goes_the_way_of_transformers(kind, processor, unequal):
    stock, fast = both(kind, processor)
    fast.set_attn_implementation("eager")
    stock.set_attn_implementation("eager")
    with torch.no_grad():
        expected, got = stock(**unequal), fast(**unequal)
    assert_alike(expected.logits, got.logits)


def test_in_bfloat16_gradients_are_no_farther_from_those_in_float32(processor, equal):
    stock, fast = both("qwen3_vl", processor)
    exact = outcome(stock, equal)[2]
    apart = []
    for model in (stock, fast):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**equal).loss
        model.zero_grad()
        with Counted() as counted:
            loss.backward()
        apart.append(
            sum(float((one.grad - exact[n]).norm()) for n, one in model.named_parameters())
        )
        assert counted.count("flash_attention_for_cpu_backward") > 0
    assert apart[1] <= 1.1 * apart[0]


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_answers_are_generated_as_before(kind, processor, unequal):
    prompts = {name: value for name, value in unequal.items() if name != "labels"}
    written = [
        model.generate(**prompts, max_new_tokens=8, do_sample=False).tolist()
        for model in both(kind, processor)
    ]
    assert written[0] == written[1]
