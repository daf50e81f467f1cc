import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.packing.manifest import verify
from spatialreward.data.packing.shards import read_edits
from spatialreward.data.sources.opening import open_source
from spatialreward.data.teacher.faults import BudgetSpent
from spatialreward.data.views import sft_conversations
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import FULL
from spatialreward.records import Streams
from spatialreward.world.sampling import GRADES
from tests.data.corpus.made import settings, taught, write_edits, write_labelled
from tests.data.teacher.teacher_server import TeacherServer, annotation, says, well

UNTOUCHED = dict.fromkeys(GRADES, 0.0) | {"untouched": 1.0}
ROOT = Path(__file__).parents[3]


def edits_in(folder):
    return [edit for shard in verify(folder).shards for edit in read_edits(folder / shard.name)]


def rejects_in(folder):
    lines = (
        line
        for path in sorted(folder.glob("*.rejects.jsonl"))
        for line in path.read_bytes().splitlines()
    )
    return {row["id"]: (row["reason"], row["detail"]) for row in map(json.loads, lines)}


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_row_is_packed_or_left_out_with_a_reason(tmp_path):
    manifest = build_corpus(settings(), tmp_path / "out")
    edits, rejects = edits_in(tmp_path / "out"), rejects_in(tmp_path / "out")
    assert len(edits) + len(rejects) == 12
    assert {edit.id for edit in edits}.isdisjoint(rejects)
    assert manifest.counts["edits"] == len(edits)
    assert sum(manifest.left_out.values()) == len(rejects)
    assert all(edit.prior is not None for edit in edits)
    assert (tmp_path / "out" / "README.md").is_file()
    assert not (tmp_path / "out" / "work").exists()


def test_the_same_bytes_come_from_any_number_of_workers(tmp_path):
    build_corpus(settings(), tmp_path / "one")
    build_corpus(settings(), tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_finished_build_is_not_done_again(tmp_path):
    first = build_corpus(settings(), tmp_path / "out")
    before = contents(tmp_path / "out")
    assert build_corpus(settings(), tmp_path / "out") == first
    assert contents(tmp_path / "out") == before


def test_a_folder_with_another_build_is_left_alone(tmp_path):
    build_corpus(settings(), tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(InvalidInputError, match=r"settings\.regions\.max_regions was 8, is 4"):
        build_corpus(settings(regions={"max_regions": 4}), tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="expected a new or an empty folder"):
        build_corpus(settings(), tmp_path / "other")
    assert contents(tmp_path / "out") == before


def test_rows_that_cannot_be_used_are_named_and_the_others_packed(tmp_path):
    source = write_edits(
        tmp_path / "data", 8, r2={"edited": "nowhere.png"}, r5={"instruction": " "}
    )
    (tmp_path / "data" / "6-edited.png").write_bytes(b"no picture")
    config = settings(source=source, max_reject_share=0.5)
    manifest = build_corpus(config, tmp_path / "out")
    rejects = rejects_in(tmp_path / "out")
    assert {id: reason for id, (reason, _) in rejects.items() if id in ("r2", "r5", "r6")} == {
        "r2": "missing picture",
        "r5": "missing field",
        "r6": "unreadable picture",
    }
    assert "nowhere.png" in rejects["r2"][1]
    assert manifest.left_out["missing picture"] == 1


def test_too_many_of_them_stop_the_build_and_the_reason_is_reported(tmp_path):
    broken = {f"r{number}": {"source": f"gone-{number}.png"} for number in range(4)}
    config = settings(source=write_edits(tmp_path / "data", 8, **broken))
    with pytest.raises(InvalidInputError, match=r"4 of 8 rows cannot be used") as caught:
        build_corpus(config, tmp_path / "out")
    first = r"\(4, 100 %\); the first: edits\.jsonl, row 1: missing picture: .*gone-0\.png"
    assert re.search(first, str(caught.value))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_duplicate_in_another_shard_is_left_out(tmp_path):
    source = write_edits(tmp_path / "data", 6)
    lines = (tmp_path / "data" / "edits.jsonl").read_text().splitlines()
    twin = json.loads(lines[0]) | {"id": "twin"}
    (tmp_path / "data" / "edits.jsonl").write_text("\n".join([*lines, json.dumps(twin)]))
    manifest = build_corpus(settings(source=source), tmp_path / "out")
    assert manifest.left_out["exact duplicate"] == 1
    assert rejects_in(tmp_path / "out")["twin"] == ("exact duplicate", "of edit r0")


def test_a_build_that_is_killed_goes_on_and_ends_the_same(tmp_path):
    config = settings(source={"kind": "world", "count": 60, "data": {"picture_size": 64}})
    build_corpus(config, tmp_path / "whole")
    program = (
        "import sys; from pathlib import Path;"
        "from spatialreward.data.corpus.config import CorpusConfig;"
        "from spatialreward.data.corpus.running import build_corpus;"
        "build_corpus(CorpusConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", program, config.model_dump_json(), str(out)], cwd=ROOT
    )
    deadline = time.monotonic() + 120
    while not (out / "work" / "prepared" / "shard-00001.partial").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (out / "work" / "prepared" / "shard-00000").is_dir()
    build_corpus(config, out)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.fixture
def teacher(monkeypatch, tmp_path):
    monkeypatch.setenv("TEACHER_KEY", "sk-test")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as server:
        yield server


def test_a_teacher_annotates_what_others_let_through(tmp_path, teacher):
    source = write_edits(tmp_path / "data", 6)
    lines = (tmp_path / "data" / "edits.jsonl").read_text().splitlines()
    twin = json.loads(lines[0]) | {"id": "twin"}
    (tmp_path / "data" / "edits.jsonl").write_text("\n".join([*lines, json.dumps(twin)]))
    teacher.plan = lambda asked: (
        says(annotation(asked, editing_success=2)) if "remove" in asked.instruction else well(asked)
    )
    manifest = build_corpus(taught(teacher, source), tmp_path / "out")
    edits, rejects = edits_in(tmp_path / "out"), rejects_in(tmp_path / "out")
    assert rejects["twin"][0] == "exact duplicate"
    assert manifest.counts["annotated"] == len(edits) > 0
    assert len(edits) + len(rejects) == 7
    for edit in edits:
        assert [region.bbox_2d for region in edit.label.regions] == [
            region.bbox_2d for region in edit.prior.regions
        ]
    # No request for a duplicate.
    assert len(teacher.asked) == 6


def test_a_build_whose_budget_is_spent_goes_on_with_a_larger_one(tmp_path, teacher):
    source = write_edits(tmp_path / "data", 6)
    with pytest.raises(BudgetSpent):
        build_corpus(taught(teacher, source, budget={"tokens": 2500}), tmp_path / "out")
    paid = len(teacher.asked)
    assert 0 < paid < 6
    build_corpus(taught(teacher, source), tmp_path / "out")
    assert len(teacher.asked) == 6


def test_a_second_opinion_is_asked_before_the_teacher(tmp_path, teacher):
    source = write_edits(tmp_path / "data", 3)
    config = taught(teacher, source, second_opinion=True, num_shards=1)
    build_corpus(config, tmp_path / "out")
    stages = teacher.stages()
    assert stages.count("ground") == stages.count("annotate") == 3
    assert all(edit.prior.agreement is not None for edit in edits_in(tmp_path / "out"))


def test_a_rows_licence_comes_before_the_data_sets(tmp_path):
    source = write_edits(tmp_path / "data", 4, r0={"terms": "CC0"}, r1={"terms": " "})
    source["columns"] = source["columns"] | {"license": "terms"}
    manifest = build_corpus(settings(source=source, license="CC BY 4.0"), tmp_path / "out")
    licenses = {edit.id: edit.license for edit in edits_in(tmp_path / "out")}
    assert licenses == {"r0": "CC0", "r1": "CC BY 4.0", "r2": "CC BY 4.0", "r3": "CC BY 4.0"}
    assert manifest.counts["license/CC0"] == 1
    assert "| CC BY 4.0 | 3 | 75.0% |" in (tmp_path / "out" / "README.md").read_text()


def test_licences_that_are_not_allowed_are_left_out(tmp_path):
    source = write_edits(tmp_path / "data", 4, r0={"terms": "CC0"}, r1={"terms": "cc by-nc"})
    source["columns"] = source["columns"] | {"license": "terms"}
    config = settings(source=source, filters={"licenses": ["CC0"]})
    manifest = build_corpus(config, tmp_path / "out")
    assert manifest.left_out == {"licence not allowed": 3}
    assert rejects_in(tmp_path / "out")["r2"][1] == "it names no licence, allowed are CC0"


def test_a_build_of_the_world_shows_its_labels(tmp_path):
    manifest = build_corpus(settings(), tmp_path / "out")
    world = {edit.id: edit for edit in open_source(settings().source).rows(0, 1)}
    for edit in edits_in(tmp_path / "out"):
        assert edit.label.regions == world[edit.id].given_regions
        assert edit.label.scores.given().items() <= edit.given.items()
        assert edit.label.judged_by == "the generated world"
        assert sft_conversations(edit, FULL)
    assert manifest.counts["annotated"] == manifest.num_edits
    card = (tmp_path / "out" / "README.md").read_text()
    assert "labelled with the truth" in card
    assert "## Scores" in card


def test_a_teacher_is_asked_about_labelled_edits_only_where_that_is_wanted(tmp_path, teacher):
    world = {"kind": "world", "count": 3, "data": {"picture_size": 64}}
    manifest = build_corpus(taught(teacher, world, second_opinion=True), tmp_path / "out")
    assert teacher.asked == []
    assert manifest.counts["labelled_by/the generated world"] == manifest.num_edits == 3
    build_corpus(taught(teacher, world, relabel=True), tmp_path / "again")
    assert len(teacher.asked) == 3
    assert {edit.label.judged_by for edit in edits_in(tmp_path / "again")} <= {"scripted-vl"}


def test_labels_of_the_source_are_packed_and_the_teacher_is_asked_about_the_rest(tmp_path, teacher):
    source = write_labelled(tmp_path / "data", 3, sc1="I cannot judge this.")
    config = taught(teacher, source, filters={"duplicates": None})
    manifest = build_corpus(config, tmp_path / "out")
    assert len(teacher.asked) == 1
    assert manifest.counts["labelled_by/spatialreward-sft-assumed"] == 5
    assert manifest.counts["labelled_by/scripted-vl"] == 1
    assert manifest.counts["lost_label/answer cannot be read"] == 1
    assert manifest.counts["without_source"] == 3
    streams = Counter(
        conversation.stream
        for edit in edits_in(tmp_path / "out")
        for conversation in sft_conversations(edit, FULL)
    )
    # The teacher labels both streams.
    assert streams == {Streams.SEMANTIC: 3, Streams.PERCEPTUAL: 4}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "labelled there, annotated by a teacher" in card
    assert "| spatialreward-sft-assumed | 5 | 83.3% |" in card


def test_many_lost_labels_stop_the_build_before_a_teacher_is_paid(tmp_path, teacher):
    source = write_labelled(tmp_path / "data", 2, sc0="no", pq0="no", sc1="no", pq1="no")
    config = taught(teacher, source)
    with pytest.raises(InvalidInputError, match=r"labels of 4 of 4 rows.*cannot be read \(4\)"):
        build_corpus(config, tmp_path / "out")
    assert teacher.asked == []
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_relabelling_needs_a_teacher():
    with pytest.raises(ValidationError, match="relabel: there is no `teacher` to ask"):
        settings(relabel=True)


def test_many_edits_of_the_world_may_have_the_same_words(tmp_path):
    rules = {"reasoning": {"max_same_reasoning": 1}, "duplicates": None}
    world = {"kind": "world", "count": 12, "data": {"picture_size": 64, "grades": UNTOUCHED}}
    manifest = build_corpus(settings(source=world, filters=rules), tmp_path / "out")
    words = {edit.label.sc_reasoning for edit in edits_in(tmp_path / "out")}
    assert len(words) < manifest.num_edits == 12
