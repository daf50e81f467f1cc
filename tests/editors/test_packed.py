"""What editors on diffusers' classes do alike, each on small random weights."""

import dataclasses
import itertools

import pytest
import torch

from serving.bench.stock_pipelines import picture, task_of
from spatialreward.editors.packed import Grid, pack, unpack
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError

EDITORS = ("kontext", "klein", "qwen_edit", "qwen_edit_plus")
ROUNDING = 1e-5


@pytest.fixture(params=EDITORS)
def editor(request, beside):
    return beside(request.param).editor


def tasks():
    """Three of one size, with instructions of different lengths."""
    long = "put the small green circle behind the large yellow triangle, and leave the rest"
    instructions = ("make it red", long, "remove it")
    return [
        EditTask([picture((96, 64), number)], text, id=f"t{number}")
        for number, text in enumerate(instructions)
    ]


def drawn(editor, condition):
    latents = editor.noise(condition, torch.Generator().manual_seed(2))
    return latents, torch.linspace(0.1, 0.8, len(condition))


def test_packing_puts_a_patch_of_every_channel_into_a_token():
    latents = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    tokens = pack(latents)
    assert tokens.shape == (2, 6, 12)
    # Channel 1 of the patch in the second row and third column.
    assert torch.equal(tokens[0, 5, 4:8], latents[0, 1, 2:4, 4:6].flatten())
    assert torch.equal(unpack(tokens, Grid(2, 3)), latents)


def test_a_row_alone_is_predicted_as_in_company(editor):
    condition = editor.encode(tasks())
    latents, times_B = drawn(editor, condition)
    with torch.no_grad():
        together = editor.velocity(latents, times_B, condition)
        for number, task in enumerate(tasks()):
            row = slice(number, number + 1)
            alone = editor.velocity(latents[row], times_B[row], editor.encode([task]))
            chosen = editor.velocity(latents[row], times_B[row], condition.rows(row))
            assert torch.allclose(together[row], alone, atol=ROUNDING, rtol=0)
            assert torch.allclose(together[row], chosen, atol=ROUNDING, rtol=0)
    assert together.std() > 0.05


def test_a_condition_is_repeated_chosen_from_and_moved(editor):
    condition = editor.encode(tasks())
    repeated = condition.repeat(2)
    assert len(condition) == 3
    assert len(repeated) == 6
    back = repeated.rows(torch.tensor([0, 2, 4])).to("cpu")
    for name in ("sources_BSC", "grids"):
        one, other = getattr(back, name), getattr(condition, name)
        assert one is other or (torch.equal(one, other) if torch.is_tensor(one) else one == other)
    for one, other in zip(back.prompt, condition.prompt, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)


def test_pictures_of_other_sizes_are_refused_by_the_tasks_name(editor):
    other = EditTask([picture((64, 128))], "make it red", id="tall")
    with pytest.raises(InvalidInputError, match="task tall: its pictures make "):
        editor.encode([*tasks(), other])


def test_times_ascend_from_noise_to_data_and_steps_have_the_schedulers_lengths(editor):
    condition = editor.encode(tasks()[:1])
    times = editor.times(9, condition)
    assert times == sorted(times)
    assert (times[0], times[-1], len(times)) == (0.0, 1.0, 10)
    sigmas = editor.parts.scheduler.sigmas
    lengths = [late - early for early, late in itertools.pairwise(times)]
    assert torch.equal(torch.tensor(lengths), sigmas[:-1] - sigmas[1:])


def test_unguided_steps_take_no_second_pass(editor):
    condition = editor.encode(tasks()[:1])
    latents, times_B = drawn(editor, condition)
    passes = []
    editor.trainable().register_forward_hook(lambda *inner: passes.append(1))
    with torch.no_grad():
        plain = editor.velocity(latents, times_B, condition, guided=False)
        without = dataclasses.replace(condition, negative=None)
        assert torch.equal(editor.velocity(latents, times_B, without), plain)
        assert len(passes) == 2
        editor.velocity(latents, times_B, condition)
    assert len(passes) == (3 if condition.negative is None else 4)


def test_the_same_noise_gives_pictures_of_the_edits_size(editor):
    condition = editor.encode(tasks()[:2])
    latents, _ = drawn(editor, condition)
    again, _ = drawn(editor, condition)
    assert torch.equal(latents, again)
    pictures = editor.decode(latents, condition)
    assert [one.mode for one in pictures] == ["RGB", "RGB"]
    rows, columns = condition.grids[0]
    assert {one.size for one in pictures} == {(16 * columns, 16 * rows)}


@pytest.mark.parametrize("name", ["kontext", "qwen_edit"])
def test_an_editor_of_one_picture_refuses_several(name, beside):
    with pytest.raises(InvalidInputError, match="task 0: expected one source picture, got 2"):
        beside(name).editor.encode([task_of(2)])


@pytest.mark.parametrize(
    ("name", "size", "problem"),
    [
        ("kontext", (8, 400), "a side below 16 px|too narrow"),
        ("klein", (40, 90), "too small, expected 64 px"),
        ("klein", (64, 640), "too narrow, expected sides of at most 8:1"),
        ("qwen_edit", (4, 400), "too narrow"),
    ],
)
def test_a_picture_that_has_no_tokens_is_refused(name, size, problem, beside):
    task = EditTask([picture(size)], "make it red", id="thin")
    with pytest.raises(InvalidInputError, match=f"task thin: .*({problem})"):
        beside(name).editor.encode([task])


@pytest.mark.parametrize("name", ["kontext", "klein"])
def test_a_cut_instruction_is_reported(name, beside, caplog):
    editor = beside(name).editor
    editor.encode([task_of()])
    assert not caplog.records
    editor.encode([task_of(instruction="make the square red, " * 40)])
    assert "what lies beyond 64 tokens is cut: make the square red" in caplog.text.replace(
        "<|im_start|>user\n", ""
    )
