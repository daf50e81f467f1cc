import math

import torch
from PIL import Image

from spatialreward.rl.model_card import History, write_model_card

CARD = {
    "kind": "flow-matching editor, fine-tuned",
    "made": "2026-11-02",
    "lineage": {"base": "hub:owner/editor@0123"},
    "rewards": [
        {
            "name": "judge",
            "weight": 0.5,
            "form": "reward",
            "judged_by": "judge/3, weights 1f2e",
            "notice": "trained on a|b",
        }
    ],
    "training": {"learning_rate": 0.01},
}


def history():
    kept = History()
    for step in range(1, 8):
        watched = {"watch/held_out_reward": 0.25} if step % 3 == 0 else {}
        metrics = {"reward/mean": step / 10, "time/rollout_s": float(step), "policy/kl": math.nan}
        kept.add(metrics | watched | {"time/overlap_share": 0.5}, step)
    return kept


def test_a_card_tells_rewards_curves_cost_and_settings(tmp_path):
    write_model_card(tmp_path, CARD, history(), torch.device("cpu"))
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("# Flow-matching editor, fine-tuned\n\nMade on 2026-11-02.\n")
    assert "| judge | 0.5 | reward | judge/3, weights 1f2e | trained on a\\|b |" in text
    assert "## Lineage\n\n| what | from |\n| --- | --- |\n| base | hub:owner/editor@0123 |" in text
    assert "| `reward/mean` | 0.3 | 0.5 |" in text
    assert "| `watch/held_out_reward` | 0.25 | 0.25 |" in text
    assert "policy/kl" not in text
    assert "- Seconds a step, rollout: 4 (median)." in text
    assert "- Overlap share: 0.5 (median)." in text
    assert "- Steps: 7." in text
    assert "CPU cores" in text
    assert '"learning_rate": 0.01' in text
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 500


def test_a_training_without_steps_has_a_card_too(tmp_path):
    write_model_card(tmp_path, {}, History(), torch.device("cpu"))
    assert (tmp_path / "README.md").read_text().startswith("# Fine-tuned editor\n\n## Cost\n")
    assert not (tmp_path / "curves.png").exists()


def test_a_history_goes_on_where_it_was_kept():
    before, after = history(), History()
    after.load_state_dict(before.state_dict())
    before.add({"reward/mean": 1.0}, 8)
    assert len(after.lines) == 7
    assert after.values("reward/mean") == [step / 10 for step in range(1, 8)]
    assert after.values("watch/held_out_reward")[2] == 0.25
