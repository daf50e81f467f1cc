import io
import itertools
import json

import pytest
from PIL import Image

from spatialreward.benchmarks.mer_bench import MerBench
from spatialreward.benchmarks.run import failed_edits, judge_benchmark
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.load import load_judge
from spatialreward.judges.pixels import PixelDifference
from tests.benchmarks.folders import ScriptedJudge, failed, group, inside, judged, write_mer
from tests.data.teacher.teacher_server import TeacherServer, says


@pytest.fixture
def bench(tmp_path):
    """Six groups of two, of which the last has the edits of the first."""
    rows = [group(f"2pair_{number}", 2) for number in range(6)]
    rows[5] |= {name: rows[0][name] for name in ("instruction", "original_image", "edited_images")}
    return MerBench.read(write_mer(tmp_path / "bench", *rows))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


def always(judgement):
    return lambda edit: judgement


def rows_of(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def broken_after(number):
    """A judge of which the process is killed when it is asked for one edit more."""
    counter = itertools.count(1)

    def answer(edit):
        if next(counter) > number:
            raise KeyboardInterrupt
        return judged(9)

    return ScriptedJudge(answer)


def test_each_edit_is_judged_once_and_its_judgement_is_reused(bench, folder):
    judge = ScriptedJudge(always(judged(9)))
    run = judge_benchmark(bench, judge, folder)
    assert len(judge.asked) == len({edit.id for edit in judge.asked}) == 10
    assert {*run.judgements} == {one.key for item in bench.published.items for one in item[4]}
    assert len(rows_of(folder)) == 10


def test_a_row_has_the_whole_judgement(bench, folder):
    judge_benchmark(bench, PixelDifference(), folder)
    row = rows_of(folder)[1]
    assert (row["item"], row["candidate"]) == ("2pair_0", "1")
    assert row["judgement"]["judged_by"] == "pixels/1, geometric"
    assert set(row["judgement"]["scores"]) >= {"editing_success", "artifact_freedom"}


def test_a_row_has_the_answers_word_for_word_also_those_that_cannot_be_read(
    tmp_path, folder, monkeypatch
):
    # Plain HTTP needs no authorities.
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    bench = MerBench.read(write_mer(tmp_path / "bench", group("2pair_0", 2)))
    perceptual = {"reasoning": "clean", "score": [18, 16]}
    with TeacherServer().running() as server:
        server.plan = lambda asked: says("no \ud83d" if len(asked.pictures) == 2 else perceptual)
        name = f"openai:vl@{server.url}?max_attempts=1"
        with load_judge(name, passes=2) as judge:
            judge_benchmark(bench, judge, folder)
    for row in rows_of(folder):
        assert row["judgement"]["failure"] == "no_answer"
        assert [sorted(one) for one in row["answers"]] == [["pq", "sc"]] * 2
        assert all(json.loads(one["pq"]) == perceptual for one in row["answers"])
        assert all(one["sc"].startswith("no") for one in row["answers"])


def test_a_run_that_was_killed_goes_on_behind_its_last_whole_line(bench, folder):
    with pytest.raises(KeyboardInterrupt):
        judge_benchmark(bench, broken_after(8), folder)
    assert len(rows_of(folder)) == 8
    with (folder / "rows.jsonl").open("a") as rows:
        rows.write('{"key": "half of a li')
    judge = ScriptedJudge(always(judged(9)))
    run = judge_benchmark(bench, judge, folder)
    assert (run.num_reused, len(judge.asked), len(run.judgements)) == (8, 2, 10)
    assert len(rows_of(folder)) == 10


def test_a_finished_run_asks_no_judge(bench, folder):
    first = judge_benchmark(bench, ScriptedJudge(always(judged(9))), folder)
    again = ScriptedJudge(always(judged(1)))
    assert judge_benchmark(bench, again, folder).judgements == first.judgements
    assert again.asked == []


def test_a_failure_of_the_engine_is_judged_again_and_no_other(bench, folder):
    def answer(edit):
        number = int(edit.id[6])
        reasons = {0: Failure.JUDGE_FAILED, 1: Failure.CUT_OFF}
        return failed(reasons[number]) if number in reasons else judged(9)

    run = judge_benchmark(bench, ScriptedJudge(answer), folder)
    assert failed_edits(run.judgements) == {Failure.CUT_OFF: 2, Failure.JUDGE_FAILED: 2}
    judge = ScriptedJudge(always(judged(9)))
    run = judge_benchmark(bench, judge, folder)
    assert {edit.id for edit in judge.asked} == {"2pair_0/0", "2pair_0/1"}
    assert failed_edits(run.judgements) == {Failure.CUT_OFF: 2}
    assert judge_benchmark(bench, judge, folder).num_reused == 10


def test_another_judge_does_not_go_on_with_a_run(bench, folder):
    judge_benchmark(bench, ScriptedJudge(always(judged(9))), folder)
    other = ScriptedJudge(always(judged(9)), name="other")
    with pytest.raises(InvalidInputError, match="judge: the run here began with scripted/1, this"):
        judge_benchmark(bench, other, folder)
    assert other.asked == []


def test_another_benchmark_or_setting_is_another_run(bench, folder, tmp_path):
    judge = ScriptedJudge(always(judged(9)))
    judge_benchmark(bench, judge, folder)
    other = MerBench.read(write_mer(tmp_path / "other", group("2pair_0", 2)))
    with pytest.raises(InvalidInputError, match="digest: the run here began with"):
        judge_benchmark(other, judge, folder)
    with pytest.raises(InvalidInputError, match="resize_to_source: the run here began with False"):
        judge_benchmark(bench, judge, folder, resize_to_source=True)


def test_a_judge_that_changes_in_the_middle_stops_the_run(bench, folder):
    judge = ScriptedJudge(always(judged(9)))

    def changing(edit):
        if len(judge.asked) > 8:
            judge.identity = judge.identity.model_copy(update={"version": "2"})
        return judged(9)

    judge.script = changing
    with pytest.raises(InvalidInputError, match="began with scripted/1, now scripted/2 answers"):
        judge_benchmark(bench, judge, folder)
    assert len(rows_of(folder)) == 8


def test_a_picture_that_cannot_be_decoded_fails_alone(tmp_path, folder):
    file = io.BytesIO()
    Image.effect_noise((64, 64), 99).save(file, format="PNG")
    row = group("2pair_0", 2)
    # Its header is whole, so only the judging finds out.
    row["edited_images"][1] = inside(file.getvalue()[:-2000])
    bench = MerBench.read(write_mer(tmp_path, row))
    run = judge_benchmark(bench, ScriptedJudge(always(judged(9))), folder)
    assert failed_edits(run.judgements) == {Failure.BAD_INPUT: 1}
    assert "edited_images[1]" in rows_of(folder)[1]["judgement"]["reason"]


def test_edited_pictures_are_brought_to_the_size_of_their_source_if_asked(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (16, 4)).save(file, format="PNG")
    row = group("2pair_0", 2)
    row["edited_images"][0] = inside(file.getvalue())
    bench = MerBench.read(write_mer(tmp_path, row))
    for resized, size in ((False, (16, 4)), (True, (8, 8))):
        judge = ScriptedJudge(always(judged(9)))
        judge_benchmark(bench, judge, tmp_path / f"run-{resized}", resize_to_source=resized)
        assert judge.asked[0].edited.size == size


def test_damaged_files_of_a_run_are_named(bench, folder):
    judge = ScriptedJudge(always(judged(9)))
    judge_benchmark(bench, judge, folder)
    rows = (folder / "rows.jsonl").read_text().splitlines()
    (folder / "rows.jsonl").write_text("\n".join([rows[0], "{}", *rows[1:]]) + "\n")
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl: line 2: key: "):
        judge_benchmark(bench, judge, folder)
    (folder / "run.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=r"run\.json: benchmark: "):
        judge_benchmark(bench, judge, folder)


def test_two_runs_do_not_write_to_one_folder(bench, folder):
    def answer(edit):
        with pytest.raises(InvalidInputError, match="another run is writing here"):
            judge_benchmark(bench, ScriptedJudge(always(judged(9))), folder)
        return judged(9)

    judge_benchmark(bench, ScriptedJudge(answer), folder)
