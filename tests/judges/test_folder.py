"""A fault of a folder is reported in one line, before anything is built."""

import json
import struct

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.folder import MODEL_TYPES, CheckpointFolder, own_chat_template
from spatialreward.world.shipped import SHIPPED_BASE
from tests.judges.models import copied, with_json

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 19982912\n"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    """A whole folder to damage."""
    return copied(SHIPPED_BASE, tmp_path / "model")


def problem(folder, **options):
    with pytest.raises(InvalidInputError) as caught:
        CheckpointFolder.read(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def safetensors(tensors, *, without=0):
    """A file's bytes; ``tensors`` has dtype and shape by name, 4 bytes a number."""
    header, start = {}, 0
    for name, (dtype, shape) in tensors.items():
        end = start + 4 * max(1, *shape) if 0 not in shape else start
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(start - without)


def test_a_whole_folder_tells_its_type_and_its_tensors():
    found = CheckpointFolder.read(SHIPPED_BASE)
    assert found.model_type == "qwen3_vl"
    assert found.card["kind"] == "judge: edit regions, reasoning and four scores"
    assert found.tensors["model.visual.pos_embed.weight"] == ("BF16", (64, 128))


@pytest.mark.parametrize("kind", ["qwen3", "qwen2_vl", "llama", None, 7])
def test_another_architecture_is_refused_by_its_name(folder, kind):
    with_json(folder / "config.json", model_type=kind)
    message = problem(folder)
    assert message.endswith(f"expected one of {', '.join(MODEL_TYPES)}, got {kind!r}")
    assert "config.json: model_type: " in message


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("model.safetensors", POINTER, "is a Git LFS pointer"),
        ("tokenizer.json", POINTER, "is a Git LFS pointer"),
        ("config.json", b'{"model_type": "qwen3_vl", "text', "config.json: is not JSON"),
        ("config.json", b"[]", "config.json: expected a JSON object, got a list"),
        ("card.json", b"no", "card.json: is not JSON"),
        ("card.json", b"[1]", "card.json: expected a JSON object, got a list"),
        ("preprocessor_config.json", b"{", "preprocessor_config.json: is not JSON"),
        ("tokenizer.json", b'{"version"', "tokenizer.json: is not JSON"),
        ("generation_config.json", b"{", "generation_config.json: is not JSON"),
        ("generation_config.json", b"[]", "generation_config.json: expected a JSON object"),
        ("model.safetensors", b"", "cut off (0 bytes)"),
        ("model.safetensors", b"not weights", "is no safetensors file"),
        ("model.safetensors", struct.pack("<Q", 2) + b"[]", "its header is damaged"),
        ("model.safetensors", struct.pack("<Q", 4) + b'{"a"', "its header is damaged"),
    ],
)
def test_a_damaged_file_is_named(folder, file, content, expected):
    (folder / file).write_bytes(content)
    message = problem(folder)
    assert file in message
    assert expected in message


@pytest.mark.parametrize(
    "file",
    ["config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"],
)
def test_a_byte_order_mark_that_transformers_does_not_read_is_named(folder, file):
    (folder / file).write_bytes(b"\xef\xbb\xbf" + (folder / file).read_bytes())
    assert f"{file}: begins with a byte order mark" in problem(folder)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("config.json", "no model here, expected a config.json"),
        ("model.safetensors", "no weights here, expected model.safetensors or "),
        ("tokenizer.json", "no tokenizer here"),
        ("preprocessor_config.json", "no preprocessor_config.json"),
    ],
)
def test_a_missing_file_is_named(folder, file, expected):
    (folder / file).unlink()
    assert expected in problem(folder)


def test_weights_that_end_too_soon_are_reported_from_ones_that_are_too_long(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert f"is cut off: expected {len(whole):,} bytes, got" in problem(folder)
    path.write_bytes(whole + b"more")
    assert f"model.safetensors: expected {len(whole):,} bytes, got" in problem(folder)


def test_weights_in_another_format_are_named(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert problem(folder).endswith("pytorch_model.bin must be converted")


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"a": ("F32", [0]), "b": ("F32", [2])}, "1 of 2 tensors are empty, such as a: saved "),
        ({"a": ("F8_E4M3", [4]), "b": ("BF16", [2])}, "a is F8_E4M3: quantised weights"),
        ({"a.qweight": ("I32", [4])}, "a.qweight is I32: quantised weights"),
        ({"module.a": ("F32", [1]), "module.b": ("F32", [1])}, "all names begin with 'module.'"),
        ({"base_model.model.a": ("F32", [1])}, "merge the adapter, then save"),
        ({"_orig_mod.a": ("F32", [1])}, "from a compiled model"),
        ({"a": ("F32", [1]), "q.base_layer.weight": ("F32", [1])}, "that was not merged"),
    ],
)
def test_weights_that_are_no_whole_model_are_explained(folder, tensors, expected):
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    assert expected in problem(folder)


@pytest.mark.parametrize("method", ["fp8", "awq", "gptq"])
def test_a_quantised_model_is_refused_by_its_method(folder, method):
    with_json(folder / "config.json", quantization_config={"quant_method": method})
    assert f"quantised weights ({method})" in problem(folder)


@pytest.fixture
def sharded(folder):
    (folder / "model.safetensors").unlink()
    shards = {"model-00001-of-00002.safetensors": "ab", "model-00002-of-00002.safetensors": "c"}
    for file, names in shards.items():
        (folder / file).write_bytes(safetensors({name: ("F32", [1]) for name in names}))
    places = {name: file for file, names in shards.items() for name in names}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    return folder


def test_shards_are_found_by_their_index(sharded):
    assert set(CheckpointFolder.read(sharded).tensors) == {"a", "b", "c"}


def test_a_missing_shard_is_named_with_what_it_holds(sharded):
    (sharded / "model-00001-of-00002.safetensors").unlink()
    message = problem(sharded)
    assert "model-00001-of-00002.safetensors missing, of 2 files of weights" in message
    assert "2 of 3 tensors" in message


def test_a_shard_that_lacks_a_tensor_of_the_index_is_named(sharded):
    path = sharded / "model-00001-of-00002.safetensors"
    path.write_bytes(safetensors({"a": ("F32", [1])}))
    assert f"model-00001-of-00002.safetensors: lacks b, see {INDEX}" in problem(sharded)


def test_shards_without_an_index_are_explained(sharded):
    (sharded / INDEX).unlink()
    assert f"{INDEX} missing, which says what is in model-00001-of-00002" in problem(sharded)


@pytest.mark.parametrize("places", [{}, [], {"a": "../other.safetensors"}, {"a": 3}])
def test_an_index_that_is_none_is_named(sharded, places):
    (sharded / INDEX).write_text(json.dumps({"weight_map": places}))
    assert INDEX in problem(sharded)


def test_an_adapter_beside_the_weights_is_applied_or_moved_never_ignored(folder, tmp_path):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    message = problem(folder)
    assert f"pass --adapter {folder}, merge it with" in message
    assert "pass --adapter" in problem(folder, adapter=tmp_path / "another")
    assert CheckpointFolder.read(folder, adapter=folder).model_type == "qwen3_vl"


def test_an_adapter_alone_says_which_base_it_wants(tmp_path):
    settings = {"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-VL-8B-Instruct"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    message = problem(tmp_path)
    assert "holds an adapter for Qwen/Qwen3-VL-8B-Instruct, no model" in message
    assert f"pass --adapter {tmp_path}" in message


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("chat_template.jinja", "\ufeffTEMPLATE"),
        ("chat_template.json", '{"chat_template": "TEMPLATE"}'),
        ("tokenizer_config.json", '{"chat_template": "TEMPLATE"}'),
        (
            "tokenizer_config.json",
            '{"chat_template": [{"name": "tools", "template": "x"},'
            ' {"name": "default", "template": "TEMPLATE"}]}',
        ),
    ],
)
def test_a_chat_template_is_found_wherever_it_is(tmp_path, file, content):
    assert own_chat_template(tmp_path) is None
    (tmp_path / file).write_text(content, encoding="utf-8")
    assert own_chat_template(tmp_path) == "TEMPLATE"


def test_pictures_may_be_described_in_the_newer_file(folder):
    pictures = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text("{}")
    assert "no preprocessor_config.json" in problem(folder)
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": pictures}))
    assert CheckpointFolder.read(folder).model_type == "qwen3_vl"
