"""The arithmetic of the published evaluation scripts, on their own result files.

Written from their description, deliberately without ``spatialreward.benchmarks.reference``, which
is compared with it. Covers MER-Bench, EditReward-Bench and MMRB2 of SpatialReward's scripts, the
overall of EditScore's, the official one of MMRB2, EditReward's of TIGER-Lab's benchmark, and
GEditBench v2's of VCReward-Bench. For
editors: Step1X-Edit's statistics over its tables of GEdit-Bench, and ImgEdit's two steps over its
    graders'
answers.
"""

import math
from collections import defaultdict
from typing import Any

import numpy as np

from spatialreward.benchmarks.interface import Benchmark, Judgements
from spatialreward.records import Judgement

_TO_TEN = 25 / 10
_GROUPS = {
    "object": "subject-add subject-remove subject-replace",
    "appearance": "color_alter material_alter style_change tone_transfer",
    "scene": "background_change extract",
    "advanced": "ps_human text_change motion_change compose",
}
_GEDIT_GROUPS = """
background_change color_alter material_alter motion_change ps_human style_change
subject-add subject-remove subject-replace text_change tone_transfer
"""
_DIMENSIONS = ("overall", "prompt_following", "consistency")


def mer_results(bench: Benchmark, judgements: Judgements) -> dict[str, dict[str, Any]]:
    """MER-Bench: scores and both orders of each judged group."""
    results = {}
    for item in bench.published.items:
        if any(one.key not in judgements for one in item.candidates):
            continue
        scores = [_scores(judgements[one.key])["overall"] for one in item.candidates]
        ranked = sorted(enumerate(scores), key=lambda pair: pair[1], reverse=True)
        results[item.id] = {
            "scores": scores,
            "pred_rank": [place for place, _ in ranked],
            "gt_rank": list(range(len(scores))),
            "label": item.labels["label"],
            "pair_type": item.labels["pair_type"],
        }
    return results


def mer_figures(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """MER-Bench's statistics, by our names."""
    rows = [_order(row) for row in results.values()]
    figures = {}
    if rows:
        for name in ("exact", "kendall", "spearman", "ndcg", "top1", "top2", "position_error"):
            figures[name] = float(np.mean([row[name] for row in rows]))
    for field, names in (
        ("pair_type", ("exact", "kendall", "ndcg")),
        ("label", ("exact", "kendall", "ndcg", "top1")),
    ):
        sums: dict[tuple[str, str], float] = defaultdict(int)
        counts: dict[str, int] = defaultdict(int)
        for result, row in zip(results.values(), rows, strict=True):
            counts[result[field]] += 1
            for name in names:
                sums[name, result[field]] += row[name]
        for (name, part), total in sums.items():
            figures[f"{name}/{part}"] = float(total / counts[part])
    for row in rows:
        if row["error"]:
            name = f"error_type/{row['error']}"
            figures[name] = figures.get(name, 0.0) + 1
    return figures


def _order(row: dict[str, Any]) -> dict[str, Any]:
    pred, truth, scores = row["pred_rank"], row["gt_rank"], row["scores"]
    n = len(pred)
    agreeing = disagreeing = 0
    for i in range(n):
        for j in range(i + 1, n):
            product = (pred[i] - pred[j]) * (truth[i] - truth[j])
            agreeing += product > 0
            disagreeing += product < 0
    gained = ideal = 0
    for i in range(n):
        gained = gained + (n - truth[i]) / np.log2(pred[i] + 2)
        ideal = ideal + (n - i) / np.log2(i + 2)
    exact = pred == truth and len(set(scores)) == n
    squares = sum((pred[i] - truth[i]) ** 2 for i in range(n))
    return {
        "exact": exact,
        "kendall": (agreeing - disagreeing) / (0.5 * n * (n - 1)),
        "spearman": 1 - (6 * squares) / (n * (n**2 - 1)),
        "ndcg": gained / ideal,
        "top1": int(pred[0] == 0),
        "top2": int(sorted(pred[:2]) == [0, 1]),
        "position_error": np.mean([abs(pred[i] - i) for i in range(n)]),
        "error": "" if exact else _error(pred, n),
    }


def _error(pred: list[int], n: int) -> str:
    off_by_one = [place for place in range(n - 1) if pred[place] in (place - 1, place + 1)]
    if pred == sorted(pred, reverse=True):
        return "full_reverse"
    if len(off_by_one) == n - 1:
        return "adjacent_swap"
    if pred[0] != 0:
        return "top_confused"
    return "mixed" if pred[-1] == n - 1 else "bottom_confused"


def editreward_results(bench: Benchmark, judgements: Judgements) -> dict[str, dict[str, float]]:
    """EditReward-Bench: scores by the picture's id."""
    candidates = [one for item in bench.published.items for one in item.candidates]
    return {one.name: _scores(judgements[one.key]) for one in candidates if one.key in judgements}


def editreward_figures(bench: Benchmark, results: dict[str, dict[str, float]]) -> dict[str, float]:
    """EditReward-Bench's accuracies, by our names."""
    right: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for item in bench.published.items:
        first, second = (one.name for one in item.candidates)
        if first not in results or second not in results:
            continue
        dimension = item.labels["dimension"]
        names = ("overall", "overall_min") if dimension == "overall" else (dimension,)
        for name in names:
            is_right = 1 if results[first][name] > results[second][name] else 0
            right[item.labels["task_type"]][name].append(is_right)
    accuracies = {
        task: {
            name: float(np.mean(np.array(of_task[name]))) if of_task[name] else 0.0
            for name in (*_DIMENSIONS, "overall_min")
        }
        for task, of_task in right.items()
    }
    tasks = sorted(accuracies)
    if not tasks:
        return {}
    figures = {
        name: float(np.mean([accuracies[task][name] for task in tasks]))
        for name in (*_DIMENSIONS, "overall_min")
    }
    for name in _DIMENSIONS:
        for part, members in {**_GROUPS, **{task: task for task in tasks}}.items():
            known = [task for task in members.split() if task in accuracies]
            if known:
                mean = np.mean([accuracies[task][name] for task in known])
                figures[f"{name}/{part}"] = float(mean)
    return figures


def mmrb2_results(bench: Benchmark, judgements: Judgements) -> dict[str, dict[str, float]]:
    """MMRB2: scores by pair and side."""
    return {
        f"{item.id}_{one.name}": _scores(judgements[one.key])
        for item in bench.published.items
        for one in item.candidates
        if one.key in judgements
    }


def mmrb2_figures(bench: Benchmark, results: dict[str, dict[str, float]]) -> dict[str, float]:
    """MMRB2's accuracies by both scripts, by our names."""
    right: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    official = {"right": 0, "total": 0}
    for item in bench.published.items:
        sides = [results.get(f"{item.id}_{side}") for side in ("A", "B")]
        if None in sides:
            continue
        a, b = (side["overall"] for side in sides)
        chosen = "AB"[item.order[0]]
        said = "A" if a > b else "B" if b > a else "tie"
        parts = {f"accuracy/{item.labels[one]}" for one in ("pictures", "num_pictures", "source")}
        for name in ("accuracy", *parts):
            total[name] += 1
            right[name] += said == chosen
        if not any(side["failed"] for side in sides):
            official["total"] += 2
            official["right"] += 2 * (said == chosen)
    figures = {name: right[name] / total[name] for name in total}
    share = official["right"] / official["total"] if official["total"] else 0.0
    return figures | {"accuracy_official": share}


def tiger_results(bench: Benchmark, judgements: Judgements) -> dict[str, list[dict[str, Any]]]:
    """TIGER-Lab's EditReward-Bench: scores and people's votes for each group, by its file."""
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in bench.published.items:
        judged = [judgements.get(one.key) for one in item.candidates]
        if any(one is None or one.reward is None for one in judged):
            continue
        is_tie = item.labels["is_tie"] == "yes"
        vote = "tie" if is_tie else ">".join("ABCD"[place] for place in item.order)
        results[item.labels["dataset"]].append(
            {"scores": [one.reward for one in judged if one], "vote": vote}
        )
    return results


def tiger_figures(results: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """TIGER-Lab's accuracies, by our names."""
    figures: dict[str, float] = {}
    all_votes: list[int] = []
    all_differences: list[float] = []
    right = total = 0
    for kind in ("2pair", "3pair", "4pair"):
        groups = results.get(kind, [])
        votes, differences = [], []
        for group in groups:
            for i in range(len(group["scores"])):
                for j in range(i + 1, len(group["scores"])):
                    first, second = (group["vote"].find("ABCD"[place]) for place in (i, j))
                    is_tie = group["vote"] == "tie"
                    votes.append(0 if is_tie else 1 if first < second else -1)
                    differences.append(group["scores"][i] - group["scores"][j])
        if not groups:
            continue
        epsilon = 0.0
        if kind == "2pair":
            figures[f"pairs/{kind}"], epsilon = _calibrated(votes, differences)
        else:
            counts = _counted(votes, differences, -1)
            figures[f"pairs/{kind}"] = counts["C"] / (counts["C"] + counts["D"] + counts["Tm"])
        exact = 0
        for group in groups:
            if group["vote"] == "tie":
                exact += abs(group["scores"][0] - group["scores"][1]) <= epsilon
            else:
                ranked = "".join("ABCD"[place] for place in np.argsort(group["scores"])[::-1])
                exact += ranked == group["vote"].replace(">", "")
        figures[f"strict/{kind}"] = exact / len(groups)
        right, total = right + exact, total + len(groups)
        all_votes += votes
        all_differences += differences
    if total:
        figures["strict"] = right / total
        figures["pairs"] = _calibrated(all_votes, all_differences)[0]
    return figures


def vcreward_figures(bench: Benchmark, judgements: Judgements) -> dict[str, float]:
    """VCReward-Bench's accuracies, by our names."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for item in bench.published.items:
        a, b = (judgements.get(one.key) for one in item.candidates)
        if a is None or b is None or a.scores is None or b.scores is None:
            continue
        winner = "AB"[item.order[0]]
        scores = {
            "reward": (a.reward, b.reward),
            "consistency": (a.scores.over_editing, b.scores.over_editing),
        }
        for name, (of_a, of_b) in scores.items():
            said = "A" if of_a > of_b else "B" if of_b > of_a else "tie"
            for place in (name, f"{name}/{item.labels['task']}"):
                counts[place][0] += said == winner
                counts[place][1] += 1
    return {place: right / total for place, (right, total) in counts.items()}


def gedit_figures(tables: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """GEdit-Bench's statistics, by our names, from its grading's tables, one per task type."""
    figures: dict[str, float] = {}
    for language in ("en", "cn"):
        for suffix, subset in (("", False), ("_intersection", True)):
            groups: dict[str, dict[str, float]] = {}
            for task_type in _GEDIT_GROUPS.split():
                semantics, quality, overall = [], [], []
                for row in tables.get(task_type, []):
                    if row["instruction_language"] != language:
                        continue
                    if subset and not row["intersection_exist"]:
                        continue
                    semantics.append(row["sementics_score"])
                    quality.append(row["quality_score"])
                    overall.append(math.sqrt(row["sementics_score"] * row["quality_score"]))
                if overall:
                    groups[task_type] = {
                        "sc": float(np.mean(semantics)),
                        "pq": float(np.mean(quality)),
                        "overall": float(np.mean(overall)),
                    }
            for name in ("sc", "pq", "overall") if groups else ():
                whole = f"{name}_{language}{suffix}"
                figures[whole] = float(np.mean([one[name] for one in groups.values()]))
                if not subset:
                    figures |= {f"{whole}/{task}": one[name] for task, one in groups.items()}
    return figures


def imgedit_figures(
    results: dict[str, str], metadata: dict[str, dict[str, str]]
) -> dict[str, float]:
    """ImgEdit-Bench's two steps over ``result.json``, by our names."""
    averages: dict[str, float] = {}
    for key, answer in results.items():
        numbers = []
        for line in answer.split("\n"):
            _, colon, number = line.strip().partition(": ")
            if colon and ": " not in number and number.isdigit():
                numbers.append(int(number))
        if numbers:
            averages[key] = round(sum(numbers) / len(numbers), 2)
    by_type: dict[str, list[float]] = {}
    for key, case in metadata.items():
        by_type.setdefault(case["edit_type"], [])
        if key in averages:
            by_type[case["edit_type"]].append(averages[key])
    means = {name: round(sum(one) / len(one), 2) for name, one in by_type.items() if one}
    figures = {f"score/{name}": mean for name, mean in means.items()}
    return figures | ({"score": sum(means.values()) / len(means)} if means else {})


def _calibrated(votes: list[int], differences: list[float]) -> tuple[float, float]:
    best, best_epsilon = -1.0, -1.0
    for epsilon in [0.0, *sorted({abs(one) for one in differences})]:
        counts = _counted(votes, differences, epsilon)
        accuracy = (counts["C"] + counts["Thm"]) / sum(counts.values())
        if accuracy > best:
            best, best_epsilon = accuracy, epsilon
    return best, best_epsilon


def _counted(votes: list[int], differences: list[float], epsilon: float) -> dict[str, int]:
    counts = dict.fromkeys(("C", "D", "Th", "Tm", "Thm"), 0)
    for vote, difference in zip(votes, differences, strict=True):
        is_tie = abs(difference) <= epsilon
        if vote == 0:
            counts["Thm" if is_tie else "Th"] += 1
        elif is_tie:
            counts["Tm"] += 1
        else:
            counts["C" if vote * difference > 0 else "D"] += 1
    return counts


def _scores(judgement: Judgement) -> dict[str, float]:
    four = [12.5] * 4
    if judgement.scores is not None:
        four = [judgement.scores.given()[name] for name in type(judgement.scores).model_fields]
    s1, s2, s3, s4 = (score / _TO_TEN for score in four)
    return {
        "prompt_following": s1,
        "consistency": s2,
        "overall": (0.6 * s1 + 0.4 * s2) ** 0.8 * (0.5 * s3 + 0.5 * s4) ** (1 - 0.8),
        "overall_min": math.sqrt(min(four[:2]) / _TO_TEN * (min(four[2:]) / _TO_TEN)),
        "failed": float(judgement.scores is None),
    }
