import json
from pathlib import Path

from pipelines.report import Targets, make_report, next_steps, print_report
from pipelines.settings import Goals, Profile, TinyJudge
from spatialreward.benchmarks.config import EditorGate, JudgeGate
from spatialreward.figures import Figure
from spatialreward.stack import StackConfig

JUDGE = {"pairwise_accuracy": 0.9, "mean_iou": 0.7, "unparsable_share": 0.0}
PIXELS = {"pairwise_accuracy": 0.6, "mean_iou": 0.5, "unparsable_share": 0.0}
UNTRAINED = {"pairwise_accuracy": 0.0, "mean_iou": 0.0, "unparsable_share": 1.0}
GOALS = Goals(max_total_s=1800, max_peak_gb=8, min_within_group_agreement=0.4)
TARGETS = Targets.of(Profile(goals=GOALS))
EDITOR = {"oracle_reward_before": 0.5, "oracle_reward_after": 0.6, "gain_ci95_low": 0.05}
AGREEMENT = {"judge": 0.5, "pixel_difference": 0.1, "ceiling": 0.9, "over_editing": 0.4}
ANSWERS = {
    "judge_figures": json.dumps(
        {"judge": JUDGE, "pixel_difference": PIXELS, "untrained_judge": UNTRAINED}
    ),
    "editor_figures": json.dumps({"editor": EDITOR, "agreement": AGREEMENT}),
}


def test_the_figures_are_those_that_were_asked_for():
    report = make_report(ANSWERS, TARGETS, total_s=1700.0, peak_bytes=7_900_000_000)
    assert [figure.name for figure in report.figures] == [
        "judge/pairwise_accuracy",
        "judge/mean_iou",
        "judge/unparsable_share",
        "judge/within_group_agreement",
        "judge/within_group_ceiling",
        "judge/within_group/over_editing",
        "editor/oracle_reward_before",
        "editor/oracle_reward_after",
        "editor/gain_ci95_low",
        "time/total_s",
        "memory/peak_gb",
    ]
    reached = [figure.reached for figure in report.figures]
    assert reached == [True] * 4 + [None] * 3 + [True] * 4
    assert report.judge[0].baseline == 0.6


def test_failures_by_reason_and_mendings_stand_beside_where_there_were_any():
    judges = {"judge": JUDGE, "pixel_difference": PIXELS, "untrained_judge": UNTRAINED}
    judges["judge"] = JUDGE | {"failed_share/cut_off": 0.1, "mended_edits/thought": 4}
    answers = ANSWERS | {"judge_figures": json.dumps(judges)}
    report = make_report(answers, TARGETS, total_s=1.0, peak_bytes=1)
    apart = {figure.name: (figure.value, figure.target) for figure in report.judge[3:5]}
    assert apart == {
        "judge/failed_share/cut_off": (0.1, None),
        "judge/mended_edits/thought": (4, None),
    }


def test_accuracies_of_pairs_by_task_stand_beside_where_they_were_measured():
    judges = {"judge": JUDGE, "pixel_difference": PIXELS, "untrained_judge": UNTRAINED}
    judges["judge"] = JUDGE | {"pairwise_within_accuracy": 0.6, "pairwise_across_accuracy": 0.95}
    answers = ANSWERS | {"judge_figures": json.dumps(judges)}
    report = make_report(answers, TARGETS, total_s=1.0, peak_bytes=1)
    apart = {figure.name: (figure.value, figure.target) for figure in report.judge[3:5]}
    assert apart == {
        "judge/pairwise_within_accuracy": (0.6, None),
        "judge/pairwise_across_accuracy": (0.95, None),
    }


def test_what_is_not_reached_is_said():
    editor = {"editor": EDITOR | {"gain_ci95_low": 0.0}, "agreement": AGREEMENT | {"judge": 0.39}}
    worse = ANSWERS | {"editor_figures": json.dumps(editor)}
    report = make_report(worse, TARGETS, total_s=1801.0, peak_bytes=8_100_000_000)
    missed = [figure.name for figure in report.figures if figure.reached is False]
    assert missed == [
        "judge/within_group_agreement",
        "editor/gain_ci95_low",
        "time/total_s",
        "memory/peak_gb",
    ]


def test_a_profile_without_goals_has_figures_without_targets():
    report = make_report(ANSWERS, Targets.of(Profile()), total_s=1e6, peak_bytes=10**12)
    assert [(figure.target, figure.reached) for figure in report.run] == [(None, None)] * 2


def test_an_editor_whose_edits_have_no_order_has_no_agreement():
    answers = ANSWERS | {"editor_figures": json.dumps({"editor": EDITOR, "agreement": {}})}
    report = make_report(answers, TARGETS, total_s=1.0, peak_bytes=1)
    assert [figure.name for figure in report.judge][-1] == "judge/unparsable_share"


def test_an_editor_whose_tasks_nobody_knows_the_truth_of_is_shown_by_the_judges_rewards():
    served = {name.replace("oracle", "served"): value for name, value in EDITOR.items()}
    answers = ANSWERS | {"editor_figures": json.dumps({"editor": served, "agreement": {}})}
    report = make_report(answers, TARGETS, total_s=1.0, peak_bytes=1)
    assert [figure.name for figure in report.editor] == [
        "editor/served_reward_before",
        "editor/served_reward_after",
        "editor/gain_ci95_low",
    ]


def test_groups_in_which_all_judge_alike_have_some_figures():
    editor = {"editor": EDITOR, "agreement": {"naturalness": 1.0}}
    answers = ANSWERS | {"editor_figures": json.dumps(editor)}
    report = make_report(answers, TARGETS, total_s=1.0, peak_bytes=1)
    assert [figure.name for figure in report.judge][-1] == "judge/within_group/naturalness"


def test_a_judge_that_predicts_no_regions_has_no_row_of_them():
    judges = json.loads(ANSWERS["judge_figures"])
    del judges["judge"]["mean_iou"]
    answers = ANSWERS | {"judge_figures": json.dumps(judges)}
    report = make_report(answers, TARGETS, total_s=1.0, peak_bytes=1)
    assert "judge/mean_iou" not in {figure.name for figure in report.judge}
    shown = make_report(
        ANSWERS, TARGETS._replace(judge=JudgeGate(min_mean_iou=0)), total_s=1.0, peak_bytes=1
    )
    (row,) = (figure for figure in shown.judge if figure.name == "judge/mean_iou")
    assert (row.target, row.reached) == (None, None)


def test_the_targets_are_those_of_the_profiles_gates():
    profile = Profile(
        judge=TinyJudge(
            gate=JudgeGate(min_pairwise_accuracy=0.95, min_mean_iou=0.1, max_unparsable_share=0.2)
        ),
        editor_gate=EditorGate(gain_ci95_low_above=0.06),
    )
    report = make_report(ANSWERS, Targets.of(profile), total_s=1.0, peak_bytes=1)
    assert [figure.target for figure in report.judge[:3]] == [0.95, 0.1, 0.2]
    assert [figure.reached for figure in report.judge[:3]] == [False, True, True]
    assert (report.editor[-1].target, report.editor[-1].reached) == (0.06, False)


def test_the_tables_hold_both_baselines_and_where_to_look(capsys):
    on_disk = [Figure(name="on_disk/mean_iou", value=0.1, baseline=0.7)]
    print_report(
        make_report(ANSWERS, TARGETS, 10.0, 10**9, on_disk),
        {"figures": "build/figures/demo.json"},
        next_steps(StackConfig(state_dir=Path("elsewhere"))),
    )
    shown = capsys.readouterr().out
    for word in ("pixel difference", "untrained judge", "before RL", "build/figures/demo.json"):
        assert word in shown
    for words in ("on_disk/mean_iou", "region proposal", "stack up --state-dir elsewhere"):
        assert words in shown
