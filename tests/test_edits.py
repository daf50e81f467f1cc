import io
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spatialreward.edits import Edit, EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.images import encode_png
from spatialreward.records import JudgingOptions, Streams

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8))
FIELDS = {"source": PICTURE, "edited": PICTURE, "instruction": "add a dog"}
NO_PICTURES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.sets(st.integers()),
    st.dictionaries(st.text(), st.integers()),
    st.builds(object),
    st.builds(bytearray, st.binary()),
    st.sampled_from([int, Image, np.uint8(3), range(3), len]),
)


def same(picture, other):
    """Whether two pictures show the same; Pillow compares how they came about, too."""
    return picture.mode == other.mode == "RGB" and picture.tobytes() == other.tobytes()


def upside_down(picture):
    orientation = Image.Exif()
    orientation[0x0112] = 3
    file = io.BytesIO()
    picture.save(file, "PNG", exif=orientation)
    return file.getvalue()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encode_png(PICTURE))
    return path


def test_a_picture_may_be_a_path_bytes_an_array_or_a_picture(file):
    forms = [file, str(file), file.read_bytes(), np.asarray(PICTURE), PICTURE, Image.open(file)]
    for form in forms:
        edit = Edit(source=form, edited=form, instruction="add a dog")
        assert same(edit.source, PICTURE)
        assert same(edit.edited, PICTURE)


def test_arrays_and_pictures_of_other_modes_become_rgb():
    grey = np.array([[0, 255], [128, 7]], np.uint8)
    clear = np.dstack([np.zeros((2, 2, 3), np.uint8), np.array([[0, 255], [255, 0]], np.uint8)])
    edit = Edit(grey, clear, "add a dog", (Image.fromarray(grey), Image.fromarray(clear)))
    assert np.asarray(edit.source).tolist() == np.repeat(grey[..., None], 3, axis=2).tolist()
    assert np.asarray(edit.edited)[..., 0].tolist() == [[255, 0], [0, 255]]
    assert edit.references == (edit.source, edit.edited)


def test_an_array_that_is_a_view_is_read_as_it_looks():
    pixels = np.asarray(PICTURE)
    edit = Edit(pixels[::-1], pixels.transpose(1, 0, 2), "add a dog")
    assert edit.source == PICTURE.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    assert edit.edited == PICTURE.transpose(Image.Transpose.TRANSPOSE)


def test_a_changed_array_does_not_change_the_edit():
    pixels = np.array(PICTURE)
    edit = Edit(pixels, pixels, "add a dog")
    pixels[:] = 0
    assert edit == Edit(**FIELDS)


def test_a_picture_is_turned_upright_once_in_every_form(tmp_path):
    data = upside_down(PICTURE)
    (tmp_path / "p.png").write_bytes(data)
    turned = PICTURE.transpose(Image.Transpose.ROTATE_180)
    forms = [data, tmp_path / "p.png", Image.open(io.BytesIO(data))]
    for form in forms:
        edit = Edit(form, form, "add a dog")
        assert same(edit.source, turned)
        assert same(replace(edit, instruction="add a cat").source, turned)


def test_an_rgb_picture_stays_the_same_object():
    edit = Edit(**FIELDS)
    assert edit.source is edit.edited is replace(edit, instruction="other").source is PICTURE


def test_a_picture_may_be_closed_after_the_edit_was_made(file):
    with Image.open(file) as picture:
        edit = Edit(picture, picture, "add a dog")
    assert edit.source.getpixel((1, 1)) == PICTURE.getpixel((1, 1))


def test_further_sources_are_references_wherever_they_stand():
    other = Image.new("RGB", (2, 2))
    edit = Edit([PICTURE, other], PICTURE, "add a dog", references=[PICTURE])
    assert (edit.source, edit.references) == (PICTURE, (other, PICTURE))


def test_an_edit_cannot_be_changed_but_copied():
    edit = Edit(**FIELDS)
    with pytest.raises(FrozenInstanceError):
        edit.instruction = "other"
    one = replace(edit, options=JudgingOptions(streams=Streams.SEMANTIC))
    assert one.options.streams is Streams.SEMANTIC
    assert edit.options.streams is Streams.BOTH
    with pytest.raises(InvalidInputError, match="instruction: is empty"):
        replace(edit, instruction=" ")


@given(field=st.sampled_from(["source", "edited"]), value=NO_PICTURES)
def test_what_is_no_picture_is_refused_by_field_and_type(field, value):
    with pytest.raises(InvalidInputError) as caught:
        Edit(**FIELDS | {field: value})
    kind = type(value).__name__
    assert str(caught.value) == f"{field}: expected a path, bytes, array or picture, got {kind}"


@given(st.lists(NO_PICTURES, min_size=1, max_size=3), st.integers(0, 2))
def test_what_is_no_picture_is_refused_by_its_place_in_a_list(values, before):
    for field in ("source", "references"):
        with pytest.raises(InvalidInputError, match=rf"^{field}\[{before}\]: expected a path"):
            Edit(**FIELDS | {field: [PICTURE] * before + values})


@given(st.one_of(st.text(), st.binary()))
def test_text_and_bytes_at_random_are_refused_by_field(value):
    with pytest.raises(InvalidInputError, match=r"^edited: "):
        Edit(**FIELDS | {"edited": value})


@given(
    st.sampled_from([bool, np.int64, np.float32, np.uint16, complex, object, np.str_]),
    st.lists(st.integers(0, 4), max_size=4),
)
def test_arrays_of_other_types_are_refused_whatever_their_shape(kind, shape):
    with pytest.raises(InvalidInputError) as caught:
        Edit(**FIELDS | {"source": np.zeros(shape, kind)})
    expected = f"source: expected an array of uint8, 0 to 255, got {np.zeros(0, kind).dtype}"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((), r"expected an array of shape \(H, W\), .* got \(\)"),
        ((4,), r"got \(4,\)"),
        ((3, 4, 4, 3), r"got \(3, 4, 4, 3\)"),
        ((3, 8, 8), r"got \(3, 8, 8\)"),
        ((8, 8, 1), r"got \(8, 8, 1\)"),
        ((0, 8, 3), "has no pixels"),
        ((1, 201), "one side longer than 200 times the other"),
        ((8_001, 8_000), "more than the 64,000,000 pixels allowed"),
    ],
)
def test_arrays_of_other_shapes_are_refused(shape, problem):
    with pytest.raises(InvalidInputError, match=f"^edited: .*{problem}"):
        Edit(**FIELDS | {"edited": np.broadcast_to(np.uint8(0), shape)})


def closed():
    picture = PICTURE.copy()
    picture.close()
    return picture


def animated():
    file = io.BytesIO()
    PICTURE.save(file, "GIF", save_all=True, append_images=[Image.new("RGB", PICTURE.size)])
    return Image.open(file)


def cut_off():
    return Image.open(io.BytesIO(encode_png(PICTURE)[:60]))


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (lambda: Image.new("RGB", (1, 201)), "one side longer than 200 times"),
        (lambda: Image.new("F", (2, 2)), "floating-point samples"),
        (lambda: Image.new("RGB", (0, 2)), "has no pixels"),
        (closed, "cannot be read"),
        (animated, "has 2 frames"),
        (cut_off, "cannot be read"),
        (lambda: Path("no.png"), "picture no.png: there is no such file"),
        (lambda: Path(__file__).parent, "is a directory"),
        (lambda: "nul\0.png", "null character"),
        (lambda: "\ud800.png", "not valid Unicode"),
        (lambda: b"", "is empty"),
        (lambda: encode_png(PICTURE)[:60], "is damaged or incomplete"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused_by_field(picture, problem):
    with pytest.raises(InvalidInputError, match=f"^source: .*{problem}"):
        Edit(**FIELDS | {"source": picture()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instruction": 5}, "instruction: expected text, got int"),
        ({"instruction": b"add"}, "instruction: expected text, got bytes"),
        ({"instruction": ""}, "instruction: is empty"),
        ({"instruction": "a\ud800"}, r"instruction: is not valid Unicode \(U\+D800"),
        ({"source": []}, "source: expected one picture at least"),
        ({"references": PICTURE}, "references: expected a list of pictures, got Image"),
        ({"options": {"streams": "sc"}}, "options: expected JudgingOptions, got dict"),
    ],
)
def test_the_other_fields_are_checked_too(change, message):
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        Edit(**FIELDS | change)


def test_a_task_holds_all_sources_first_the_one_to_edit(file):
    other = Image.new("RGB", (2, 2))
    task = EditTask([file, other], " add a dog\r\nhere ", id="7", operation="add", truth="{}")
    assert same(task.sources[0], PICTURE)
    assert task.sources[1:] == (other,)
    assert task.instruction == "add a dog\nhere"
    assert (task.id, task.operation, task.truth) == ("7", "add", "{}")


def test_an_edit_of_a_task_has_all_that_the_task_has():
    other = Image.new("RGB", (2, 2))
    task = EditTask((PICTURE, other), "add a dog", "7", "add", '{"made": "so"}')
    options = JudgingOptions(seed=3)
    edit = Edit.of(task, other, "Tiny Editor", options)
    assert edit.sources == task.sources == (edit.source, *edit.references)
    assert all(mine is its for mine, its in zip(edit.sources, task.sources, strict=True))
    assert edit.edited is other
    assert (edit.editor, edit.options) == ("Tiny Editor", options)
    assert edit.task == task


def test_an_edit_without_an_id_is_of_a_task_without_one():
    assert Edit(**FIELDS).task == EditTask([PICTURE], "add a dog")
    edit = Edit(**FIELDS, id="7", operation="add", editor="E", truth="{}")
    assert edit.task == EditTask([PICTURE], "add a dog", "7", "add", "{}")
    assert replace(edit, edited=PICTURE).editor == "E"


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "sources: expected one picture at least, got an empty list"),
        (PICTURE, "sources: expected a list of pictures, got Image"),
        ([PICTURE, 5], r"sources\[1\]: expected a path, bytes, array or picture, got int"),
    ],
)
def test_a_task_needs_a_list_of_pictures(sources, message):
    with pytest.raises(InvalidInputError, match=f"^{message}$"):
        EditTask(sources, "add a dog")


@given(field=st.sampled_from(["id", "operation", "editor", "truth"]), value=NO_PICTURES)
def test_words_that_are_no_text_are_refused_by_field_and_type(field, value):
    if field == "truth" and value is None:
        return
    for kind in (EditTask, Edit) if field != "editor" else (Edit,):
        pictures = {"sources": [PICTURE]} if kind is EditTask else {"source": 0, "edited": PICTURE}
        with pytest.raises(InvalidInputError) as caught:
            kind(**pictures | {"instruction": "add a dog", field: value})
        assert str(caught.value) == f"{field}: expected text, got {type(value).__name__}"


@pytest.mark.parametrize("instruction", ["", 5])
def test_an_instruction_of_a_task_is_checked_as_that_of_an_edit(instruction):
    with pytest.raises(InvalidInputError) as of_edit:
        Edit(PICTURE, PICTURE, instruction)
    with pytest.raises(InvalidInputError) as of_task:
        EditTask([PICTURE], instruction)
    assert str(of_task.value) == str(of_edit.value)
