"""Every sentence of a verdict is backed by numbers that it holds; a golden run gives its verdict byte for byte."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whichway.findings import Race
from whichway.runs.folder import json_text
from whichway.runs.results import run_results
from whichway.tasks.metrics.accuracy import Metric, Options
from whichway.verdict import Arm, decide
from whichway.verdict.breakeven import Terms
from whichway.verdict.crossover import rounded
from whichway.verdict.curves import CurveRun
from whichway.verdict.decide import Extras
from whichway.verdict.explain import number_format
from whichway.verdict.explain.caveats import probability
from whichway.verdict.slices import RowFacts
from whichway.verdict.stats import tango

GOLDEN = Path(__file__).parent / "golden" / "run"
NUMBER = re.compile(r"[+−]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
CONSTANT = (  # said in every verdict of this kind; no measurement
    "30 days", "per 1,000 requests", "90 %", "At least 2 independent", "about 10 points need 100 to 200",
    "At least 3 seeds",
)  # fmt: skip
SHOWN = (*number_format.SHOWN, rounded, probability)


def bare(text, verdict):
    """The sentence without names (of ways, of parts), reasons of failure and constants."""
    for line in verdict.standings:
        text = text.replace(line.reason, "") if line.reason else text
    for name in sorted((line.way for line in verdict.standings), key=len, reverse=True):
        text = text.replace(name, "")
    for part in verdict.slices:
        text = text.replace(f"“{part.value}”", "")
    for words in CONSTANT:
        text = text.replace(words, "")
    return text


def unbacked(verdict):
    """Numbers that a sentence says and its values do not hold."""
    found = []
    for sentence in verdict.sentences:
        backed = {
            n for value in sentence.values.values() for shown in SHOWN for n in NUMBER.findall(spoken(shown, value))
        }
        said = NUMBER.findall(bare(sentence.text, verdict))
        found += [
            (number, sentence.text) for number in said if number not in backed and number.lstrip("+−") not in backed
        ]
    return found


def spoken(shown, value):
    return shown(value) if shown is not number_format.usd or value >= 0 else ""


def right(n, *spans):
    scores = np.zeros((1, n))
    for low, high in spans:
        scores[0, low:high] = 1
    return scores


def worlds():
    """Arms and sides of many kinds: decided, equal, failed, one row, seeds, curves, slices, a race."""
    n = 120
    rng = np.random.default_rng(1)

    def arm(way, kind, scores, usd=0.01, **more):
        seeds = len(scores)
        facts = {
            "usd_fit": usd, "usd_per_1000": usd, "seconds_fit": 12.0, "tried": 6,
            "dev_scores": tuple(0.8 for _ in range(seeds)), "candidates": tuple(f"{way}-{s}" for s in range(seeds)),
        }  # fmt: skip
        return Arm(way=way, kind=kind, scores=np.asarray(scores, dtype=float), **{**facts, **more})

    base = arm("base_tfidf", "baseline", right(n, (0, 60)), 0.001)
    prompt = arm("prompt_shots", "prompt", rng.random((3, n)) < 0.6, random=True, unparsed=0.02)
    tuned = arm("tune_lora", "fine-tune", rng.random((3, n)) < 0.85, 1.0, random=True, usd_per_1000=0.004)
    noisy = arm("tune_lora", "fine-tune", [right(n, (0, k))[0] for k in (50, 75, 110)], 1.0, random=True)
    failed = Arm(
        way="tune_full", kind="fine-tune", scores=np.zeros((0, 0)), status="failed", reason="diverged at step 40"
    )
    repeats = np.repeat(tuned.scores[:, :, None], 4, axis=2)
    repeats[:, :, 3] = rng.random((3, n)) < 0.5
    drawn = replace(tuned, repeats=repeats, scores=repeats.mean(axis=2))
    labels = tuple("abc"[i % 3] for i in range(n))
    badly = right(n, *((i, i + 1) for i in range(n) if i % 3))
    rows = RowFacts(
        tuple(map(str, range(n))), labels, tuple(range(10, 10 + n)), {"shop": tuple("xy"[i % 2] for i in range(n))}
    )
    runs = tuple(
        CurveRun(way, s, k, float(np.clip(level + 0.02 * rng.normal(), 0, 1)))
        for way, levels in (("prompt_shots", (0.5, 0.55, 0.6, 0.62)), ("tune_lora", (0.3, 0.45, 0.65, 0.8)))
        for s in range(3)
        for k, level in zip((8, 32, 128, 512), levels, strict=True)
    )
    side = Extras(rows, 60, Terms(2000.0, 365.0, 0.5), runs, Race(3, 500, 1500, 7))
    return {
        "decided": ([base, prompt, tuned], side),
        "undecided": ([base, prompt, noisy], side),
        "failed": ([base, prompt, failed], side),
        "all failed": ([failed], side),
        "bare": ([base, prompt, tuned], None),
        "one arm": ([prompt], side),
        "repeats": ([base, prompt, drawn], side),
        "one seed": (
            [base, prompt, replace(tuned, scores=tuned.scores[:1], dev_scores=(0.8,), candidates=("x",))],
            None,
        ),
        "slices": ([replace(base, usd_fit=0.0), arm("prompt_shots", "prompt", badly, 0.0001), tuned], side),
        "equal": ([prompt, replace(prompt, way="tune_lora", kind="fine-tune", usd_fit=3.0)], side),
        "one row": ([replace(a, scores=a.scores[:, :1]) for a in (base, prompt, tuned)], None),
    }


@pytest.mark.parametrize("name", list(worlds()))
def test_every_number_that_a_sentence_says_is_in_its_values(name):
    arms, side = worlds()[name]
    for margin in (0.01, 0.3):
        verdict = decide(arms, margin, volume=2000.0, extras=side)
        assert unbacked(verdict) == []


def test_the_walk_finds_a_number_that_nobody_measured():
    verdict = decide(*[worlds()["decided"][0]])
    first = replace(verdict.sentences[0], text=verdict.sentences[0].text + " It is 12.3 points better.")
    assert unbacked(replace(verdict, sentences=(first,)))[0][0] == "12.3"


def test_sentences_are_the_texts_of_the_verdict_part_by_part():
    for arms, side in worlds().values():
        verdict = decide(arms, extras=side)
        parts = {
            part: [s.text for s in verdict.sentences if s.part == part]
            for part in ("reasons", "dissent", "would_decide")
        }
        assert parts == {part: list(getattr(verdict, part)) for part in parts}
        assert [s.text for s in verdict.sentences if s.part == "headline"] == [verdict.headline]


def test_scores_in_sentences_are_those_of_the_standings():
    for arms, side in worlds().values():
        verdict = decide(arms, extras=side)
        lines = {line.way: line for line in verdict.standings}
        for sentence in verdict.sentences:
            for name, value in sentence.values.items():
                way, _, what = name.rpartition(".")
                if way in lines and what in ("score", "low", "high"):
                    assert value == getattr(lines[way], what)


# --- the golden folder


def golden():
    return run_results(GOLDEN, Metric(Options()))


def test_the_golden_folder_gives_its_verdict_byte_for_byte():
    assert json_text(golden().verdict()) == (GOLDEN / "verdict.json").read_text(encoding="utf-8")


def test_an_old_run_keeps_its_interval_and_a_new_plan_has_tangos(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "plan.json").read_text(encoding="utf-8"))
    assert "paired" not in plan
    (tmp_path / "run" / "plan.json").write_text(json.dumps({**plan, "paired": "score"}), encoding="utf-8")
    old, new = golden().verdict(), run_results(tmp_path / "run", Metric(Options())).verdict()
    changed = [(a, b) for a, b in zip(old.pairs, new.pairs, strict=True) if a != b]
    assert [(a.first, a.second) for a, _ in changed] == [("base_majority", "prompt_plain")]  # the others have seeds
    (pair,) = (b for _, b in changed)
    assert (pair.low, pair.high) == pytest.approx(tango(pair.wins, pair.losses, new.rows), abs=1e-9)
    assert (old.answer, old.choice) == (new.answer, new.choice)


def test_the_golden_verdict_is_backed_and_holds_all_findings():
    verdict = golden().verdict()
    assert unbacked(verdict) == []
    assert verdict.curves
    assert verdict.crossovers
    assert verdict.slices
    assert verdict.race
    assert verdict.break_even
    assert {s.way for s in verdict.spreads} == {s.way for s in verdict.standings}
    assert all(
        s.crossings == len(line.candidates)
        for s in verdict.selections
        for line in verdict.standings
        if line.way == s.way
    )


def test_another_margin_decides_what_the_first_left_open():
    assert golden().verdict().answer == "undecided"
    wide = golden().verdict(margin=0.45)
    assert wide.answer != "undecided"
    assert wide.margin == 0.45


def test_records_in_another_order_change_nothing(tmp_path):

    shutil.copytree(GOLDEN, tmp_path / "run")
    lines = (GOLDEN / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "run" / "records.jsonl").write_text("".join(lines[::-1] + lines[:20]), encoding="utf-8")
    assert json_text(run_results(tmp_path / "run", Metric(Options())).verdict()) == json_text(golden().verdict())


def test_a_run_that_has_not_crossed_the_test_split_is_refused(tmp_path):
    import shutil

    from whichway.errors import OptionError, UserError

    shutil.copytree(GOLDEN, tmp_path / "run")
    lines = (GOLDEN / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "run" / "records.jsonl").write_text("".join(lines[:-5]), encoding="utf-8")
    with pytest.raises(UserError, match="has not answered every test row"):
        run_results(tmp_path / "run", Metric(Options()))
    with pytest.raises(OptionError, match=r"no column 'txt' to slice by\. Did you mean 'text'"):
        run_results(GOLDEN, Metric(Options()), ["txt"])


def test_repeats_of_an_answer_are_read_and_split_off(tmp_path):
    import shutil

    shutil.copytree(GOLDEN, tmp_path / "run")
    lines = [json.loads(line) for line in (GOLDEN / "records.jsonl").open(encoding="utf-8")]
    again = [{**line, "repeat": 1, "score": float(k % 3 > 0)} for k, line in enumerate(lines)]
    text = "".join(json.dumps(line) + "\n" for line in [*again, *lines])
    (tmp_path / "run" / "records.jsonl").write_text(text, encoding="utf-8")
    verdict = run_results(tmp_path / "run", Metric(Options())).verdict()
    found = next(s for s in verdict.spreads if s.way == "tune_lora")
    assert (found.repeats, found.seeds) == (2, 3)
    assert found.one_decoding > 0
    assert 0 < found.consistency_repeats < 1
    assert "from decoding" in " ".join(verdict.reasons)
    assert unbacked(verdict) == []


def test_json_holds_every_value_of_every_sentence():
    data = json.loads(json_text(golden().verdict()))
    assert data["sentences"]
    assert all(isinstance(v, float) for s in data["sentences"] for v in s["values"].values())
