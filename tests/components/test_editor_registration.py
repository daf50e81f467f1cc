import json

import pytest

from components.editor_evaluation.steps import register_editor
from spatialreward.artifacts import ArtifactRef
from spatialreward.ops.config import EditorRegistrationStep, JudgeRegistrationStep
from spatialreward.ops.registry import aliases_of, model_tags
from spatialreward.storage import ObjectStore
from tests.evaluated import register_unevaluated, stored_report


@pytest.fixture
def editor(client, tmp_path, monkeypatch):
    """Makes references of checkpoints that differ in their words."""
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    store = ObjectStore.from_environment()
    store.ensure_bucket("spatialreward")

    def make(words, **card):
        folder = tmp_path / words
        folder.mkdir()
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "weights.bin").write_text(words)
        return str(store.put_folder(folder, "s3://spatialreward/artifacts/test"))

    return make


def test_an_editor_is_champion_when_its_gain_is_no_chance(editor):
    settings = EditorRegistrationStep(name="gains")
    for words, low in (("better", 0.01), ("chance", -0.01), ("best", 0.02)):
        made = editor(words)
        figures = {"gain": 0.05, "gain_ci95_low": low}
        report = stored_report(ArtifactRef.parse(made).sha256, figures, kind="editor")
        register_editor(settings, made, json.dumps({"report": str(report)}), "")
    assert {alias: one.version for alias, one in aliases_of("gains").items()} == {
        "candidate": 3,
        "champion": 3,
        "previous": 1,
    }
    assert model_tags("models:/gains/2")["gate"].startswith("failed: the editor does not pass")
    assert model_tags("models:/gains/3")["promoted_over"] == "1"


def test_a_version_says_what_it_follows_from(editor, tmp_path):
    judge = ArtifactRef.parse(editor("judge"))
    served = register_unevaluated(JudgeRegistrationStep().name, tmp_path / "judge")
    lineage = {"base": "hub:OmniGen2/OmniGen2@0123", "judge": str(judge), "prompts": "tasks.jsonl"}
    made = editor("lora", lineage=lineage)
    figures = {"gain": 0.05, "gain_ci95_low": 0.01}
    report = stored_report(ArtifactRef.parse(made).sha256, figures, kind="editor")
    settings = EditorRegistrationStep(name="follows")
    model = register_editor(settings, made, json.dumps({"report": str(report)}), "")
    tags = model_tags(model)
    assert tags["lineage.base"] == "hub:OmniGen2/OmniGen2@0123"
    assert tags["lineage.judge"] == served.uri
    assert tags["lineage.prompts"] == "tasks.jsonl"
