"""Benchmarks of editors in their published layouts, of tiny pictures, and grades by hand."""

import json

import pyarrow as pa

from spatialreward.benchmarks.editors.interface import Grade
from tests.benchmarks.folders import failed, inside, judged, png

TEN = 2.5
"""A score of ten, as one of 25."""


def request(key, task_type="color_alter", *, language="en", shared=True, text="", source=None):
    """A row of GEdit-Bench."""
    return {
        "key": key,
        "task_type": task_type,
        "instruction": text or f"change {key}",
        "instruction_language": language,
        "input_image": inside(source or png()),
        "input_image_raw": inside(png()),
        "Intersection_exist": shared,
    }


def write_gedit(folder, *rows):
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table)
    return folder


def write_imgedit(folder, types, metadata="basic_edit.json"):
    """Cases by key, each of an edit type, or None in a suite without types."""
    (folder / "original_images" / "thing").mkdir(parents=True, exist_ok=True)
    cases = {}
    for key, edit_type in types.items():
        (folder / "original_images" / "thing" / f"{key}.png").write_bytes(png())
        cases[key] = {"id": f"thing/{key}.png", "prompt": f"change {key}"}
        if edit_type is not None:
            cases[key]["edit_type"] = edit_type
    (folder / metadata).write_text(json.dumps(cases))
    return folder


def write_results(benchmark, folder, *, without=()):
    """A picture for each task but some, where public scripts look for it."""
    for task in benchmark.published.tasks:
        path = folder / benchmark.place(task)
        path.parent.mkdir(parents=True, exist_ok=True)
        if task.id not in without:
            path.write_bytes(png())
    return folder


def graded(*of_ten):
    """A judge's grade, of four scores of ten."""
    return Grade(judgement=judged(*(TEN * score for score in of_ten)))


def ungraded(**more):
    return Grade(judgement=failed(), **more)


def numbers(*criteria, answer=None):
    """The grade of ImgEdit-Bench's rubric; none that can be read without numbers."""
    text = "\n".join(f"Aspect: {one}" for one in criteria) if answer is None else answer
    if not criteria:
        return Grade(judgement=failed(), criteria=(), answers=((text,),))
    return Grade(criteria=criteria, answers=((text,),))


def figures(benchmark, grades):
    """Metrics by name."""
    return {metric.name: metric for metric in benchmark.score(grades)}
