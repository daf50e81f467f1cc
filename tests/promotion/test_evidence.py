from spatialreward.evaluation.config import JudgeGate
from spatialreward.promotion.evidence import compare, figures_in
from spatialreward.registry import CHAMPION, set_alias, set_version_tags


def test_figures_are_the_numbers_among_the_tags():
    tags = {
        "mean_iou": "0.7000",
        "reward_mae": "nan",
        "promoted_over": "6",
        "sha256": "1" * 64,
        "gate": "passed",
    }
    assert figures_in(tags) == {"mean_iou": 0.7}


def test_a_candidate_stands_beside_the_champion_figure_by_figure(model, register):
    champion = register(mean_iou=0.7, reward_mae=0.1)
    candidate = register(mean_iou=0.6, reward_spearman=0.9)
    set_alias(champion, CHAMPION)
    set_version_tags(champion, {"serving": "served"})
    told = compare(model, 2, JudgeGate())
    assert (told.candidate, told.champion) == (candidate, champion)
    rows = {row.figure: row for row in told.rows}
    assert list(rows)[:3] == ["pairwise_accuracy", "mean_iou", "unparsable_share"]
    assert round(rows["mean_iou"].difference, 4) == -0.1
    assert rows["mean_iou"].passes is False
    assert rows["pairwise_accuracy"].passes is True
    assert (rows["reward_mae"].candidate, rows["reward_mae"].difference) == (None, None)
    assert (rows["reward_spearman"].champion, rows["reward_spearman"].passes) == (None, None)
    assert told.facts == {"serving": ("served", "")}


def test_without_a_champion_there_is_only_the_candidate(model, register):
    register()
    told = compare(model, 1, JudgeGate())
    assert told.champion is None
    assert all(row.champion is None for row in told.rows)
