"""Whole contests on metrics that are no mean of rows: mcc, auc and one of a single new file; negative scores."""

from __future__ import annotations

import io
import json
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from contest_kit import make_components, settings_for, small_task
from rich.console import Console

from whichway.app.summary import summary
from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.compare_runs import compare_ways
from whichway.errors import PlanMismatch
from whichway.nouns import Example, MetricSpec, Task
from whichway.report import curves, formatting, html, terminal
from whichway.report.compare import lines
from whichway.runs.folder import read_records, read_verdict
from whichway.runs.results import run_results
from whichway.runs.run import Run
from whichway.scoring import row_variance
from whichway.tasks import metrics
from whichway.verdict import sample_size, stats
from whichway.verdict.curves import Curves

SKILL = {"zero": 0.35, "shots": 0.6, "probe": 0.8, "lora": 0.9}
WAYS = {
    "base_majority": {},
    "prompt_plain": {"calibrate": 0},
    "prompt_shots": {"counts": (4,), "kinds": ("balanced",), "calibrate": 0},
    "tune_lora": {"factors": (1.0, 2.0), "checkpoints": 4},
}
ROWS = (60, 96, 90)


def yes_or_no(metric: str) -> Task:
    """Rows of two labels, one of them twice as frequent, on which plain prompts are worse than chance."""
    train, dev, _ = ROWS
    rows = [Example({"text": f"message {n} about it"}, "no" if n % 3 else "yes") for n in range(sum(ROWS))]
    spec = MetricSpec(metric, {"labels": ["no", "yes"]})
    return Task("answers", "Yes or no?", tuple(rows[:train]), tuple(rows[train : train + dev]),
                tuple(rows[train + dev :]), spec, ("no", "yes"))  # fmt: skip


@pytest.fixture(scope="module", params=["mcc", "auc"])
def held(request, tmp_path_factory):
    """A contest with learning curves; the task, its components, settings and folder."""
    place = tmp_path_factory.mktemp(request.param)
    task = yes_or_no(request.param)
    components, settings = (
        make_components(task, skill=SKILL),
        replace(settings_for(place, WAYS), curve=(12, 30), seeds=(0, 1)),
    )
    run(task, components, folder=place / "r", settings=settings)
    return task, components, settings, place / "r"


def test_the_better_way_wins_and_chance_is_chance(held):
    task, _, _, folder = held
    by_way = {s.way: s for s in read_verdict(folder).standings}
    chance = {"mcc": 0.0, "auc": 0.5}[task.metric.name]
    assert by_way["base_majority"].score == pytest.approx(chance)
    assert by_way["prompt_plain"].score < chance < by_way["tune_lora"].score
    for line in by_way.values():
        assert line.low <= line.score <= line.high <= 1
    assert by_way["tune_lora"].gap == 0
    assert read_verdict(folder).choice == "tune_lora"


def test_negative_scores_have_intervals_curves_and_a_page(held):
    task, _, _, folder = held
    verdict = read_verdict(folder)
    plain = next(s for s in verdict.standings if s.way == "prompt_plain")
    page = html.render(Run(folder))
    text = io.StringIO()
    terminal.show(folder, Console(file=text, width=160))
    scores = formatting.scores(Run(folder).plan, verdict)
    drawn = list(curves.lines(verdict.curves, verdict.crossovers, 0.95, scores=scores))
    assert formatting.metric(Run(folder).plan) in text.getvalue()
    assert {c.way for c in verdict.curves} >= {"tune_lora", "prompt_shots"}
    if task.metric.name == "mcc":
        assert plain.score < 0
        assert plain.low > -1
        shown = scores.value(plain.score)
        assert shown.startswith("−0.")
        assert any(shown in line for line in drawn)
        assert " to " in scores.span(plain.low, plain.high)
    page = re.sub(r"</?a\b[^>]*>", "", page)  # numbers lead to their rows
    for line in verdict.standings:  # one spelling on both, and none that reads as a share
        interval = scores.span(line.low, line.high)
        assert f"{scores.value(line.score):>5}  {interval}" in text.getvalue()
        assert f"<b>{scores.value(line.score)}</b> <small>{interval}" in " ".join(page.split()).replace(
            "<small> ", "<small>"
        )
        assert f"<b>{formatting.points(line.score)}</b> <small>" not in page
    assert "points of 100" not in page
    score = scores.value(verdict.standings[0].score)  # an area is no share: no sentence says "75.2 %"
    assert score in verdict.reasons[0]
    assert score in verdict.headline
    compared = [line for line in verdict.reasons if "ahead on" in line]
    assert compared
    assert not any("%" in line or "points" in line for line in compared)
    whole = next(c for c in verdict.curves if c.way == "tune_lora").points[-1]
    assert whole.low < whole.score < whole.high


def test_the_folder_alone_gives_the_same_verdict_and_a_rerun_pays_nothing(held):
    task, components, settings, folder = held
    before = (folder / "verdict.json").read_bytes()
    again = run(task, components, folder=folder, settings=settings)
    assert again.paid_seconds == 0
    assert (folder / "verdict.json").read_bytes() == before
    counted = run_results(folder, metrics.load(task.metric))
    assert counted.verdict() == again.verdict
    found = compare_ways(counted, counted, "prompt_plain", "tune_lora", 0.95, (folder, folder))
    assert found.paired
    assert found.low < found.difference < found.high
    assert found.difference == pytest.approx(found.second.score - found.first.score, abs=1e-9)
    assert any("ahead on" in line for line in lines(found))
    for line in summary(Run(folder), components.metric)["candidates"]:
        assert line["low"] <= line["score"] <= line["high"]


def test_label_scores_are_kept_for_the_metric_that_reads_them(held):
    task, _, _, folder = held
    records = read_records(folder)
    assert records
    assert {bool(r.scores) for r in records} == {task.metric.name == "auc"}
    assert ('"scores"' in (folder / "records.jsonl").read_text()) == (task.metric.name == "auc")


def test_the_race_halves_and_drops_nobody_as_worse(held):
    facts = json.loads((held[3] / "race.json").read_text())
    assert {drop["why"] for drop in facts["dropped"]} <= {"halved"}


def test_the_plan_holds_the_title_and_a_gap_for_this_metric(held):
    task, components, _, folder = held
    plan = Run(folder).plan
    assert formatting.metric(plan) == components.metric.title != task.metric.name
    wanted = sample_size.detectable_gap(
        ROWS[2], len(WAYS), 2, stats.SEED_SD, row_variance(components.metric, task.test)
    )
    assert plan.smallest_gap == wanted
    if task.metric.name == "mcc":  # of two labels it moves twice as far as accuracy
        assert plan.smallest_gap > 1.5 * sample_size.detectable_gap(ROWS[2], len(WAYS), 2, stats.SEED_SD)


def test_a_run_begun_before_plans_held_titles_goes_on(held, tmp_path):
    task, components, settings, folder = held
    begun = tmp_path / "r"
    shutil.copytree(folder, begun)
    plan = json.loads((begun / "plan.json").read_text())
    del plan["metric_title"]
    (begun / "plan.json").write_text(json.dumps({**plan, "smallest_gap": 0.2}))
    assert run(task, components, folder=begun, settings=settings).paid_seconds == 0
    (begun / "plan.json").write_text(json.dumps({**plan, "margin": 0.2}))
    with pytest.raises(PlanMismatch, match="margin"):
        run(task, components, folder=begun, settings=settings)


def test_a_model_without_label_scores_fails_by_name_and_the_others_go_on(tmp_path):
    class Silent(FakeBackend):
        """As a hosted model may be: it answers with a label, and says nothing of the others."""

        def open(self, weights, adapter):
            with super().open(weights, adapter) as real:
                return nullcontext(SimpleNamespace(choose=lambda asked: without(real.choose(asked))))

    def without(replies):
        return [replace(reply, scores={}) for reply in replies]

    task = yes_or_no("auc")
    components = make_components(task, skill=SKILL)
    components = replace(
        components, backends={**components.backends, "fake": Silent(components.backends["fake"].world)}
    )
    ways = {"base_majority": {}, "base_tfidf": {}, "prompt_plain": {}}
    verdict = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, ways)).verdict
    by_way = {s.way: s for s in verdict.standings}
    assert "each label's score" in by_way["prompt_plain"].reason
    assert by_way["base_tfidf"].status == "ok"
    # the same answers do for a metric of the answers alone
    task = yes_or_no("mcc")
    components = replace(components, metric=metrics.load(task.metric))
    verdict = run(task, components, folder=tmp_path / "s", settings=settings_for(tmp_path, ways)).verdict
    assert all(s.status == "ok" for s in verdict.standings)


PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_a_further_metric_is_one_file(tmp_path, monkeypatch):
    from sklearn.metrics import cohen_kappa_score

    (tmp_path / "kappa.py").write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    task = replace(small_task(), metric=MetricSpec("kappa"))
    ways = {name: {} for name in ("base_majority", "base_tfidf", "prompt_plain", "tune_probe")}
    folder = tmp_path / "r"
    verdict = run(task, make_components(task), folder=folder, settings=settings_for(tmp_path, ways)).verdict
    gold, records = {e.id: e.target for e in task.test}, read_records(folder)
    for line in verdict.standings:
        mine = [r for r in records if r.split == "test" and r.candidate == line.candidates[0]]
        assert line.score == pytest.approx(cohen_kappa_score([gold[r.example] for r in mine], [r.text for r in mine]))
    assert formatting.metric(Run(folder).plan) == "Cohen's kappa"


def test_no_other_file_knows_their_names():
    import whichway

    root = Path(whichway.__file__).parent
    for name in ("mcc", "auc"):
        knowing = [
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.suffix in (".py", ".j2", ".yaml") and f'"{name}"' in path.read_text(encoding="utf-8")
        ]
        assert knowing == [f"tasks/metrics/{name}.py"]


def test_curves_below_zero_are_drawn_with_their_ticks():
    from whichway.verdict.curves import CurveRun

    runs = [CurveRun("w", s, n, score + 0.01 * s) for s in (0, 1) for n, score in ((8, -0.4), (16, -0.1), (32, 0.3))]
    chart = curves.chart([Curves(runs).curve("w")], 1000, 400)
    assert chart is not None
    assert any(tick.text.startswith("−") for tick in chart.y_ticks)
    assert all(chart.top <= y <= chart.bottom for track in chart.tracks for _, y, _ in track.dots)
