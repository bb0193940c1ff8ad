"""The decision on hand-made arms: each answer, the edges, the words, the invariants."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whichway import nouns
from whichway.tasks.metrics.macro_f1 import Metric
from whichway.verdict import Arm, decide, sanity

MACRO_F1 = Metric.aggregate


def right(n, *spans):
    """One seed's scores: right on rows in any of the half-open spans."""
    scores = np.zeros((1, n))
    for low, high in spans:
        scores[0, low:high] = 1
    return scores


def arm(way, kind, scores, total=1.0, **facts):
    seeds = len(scores)
    return Arm(
        way=way, kind=kind, scores=np.asarray(scores, dtype=float), usd_total=total,
        candidates=tuple(f"{way}-{s}" for s in range(seeds)), **facts,
    )  # fmt: skip


def trio(base, prompt, tuned, n=400):
    """Baseline, prompt and fine-tune, right on the first so many rows each, dearer in this order."""
    return [
        arm("base_tfidf", "baseline", right(n, (0, base)), 1.0),
        arm("prompt_shots", "prompt", right(n, (0, prompt)), 2.0),
        arm("tune_lora", "fine-tune", right(n, (0, tuned)), 3.0),
    ]


@pytest.mark.parametrize(
    ("rows", "answer", "choice"),
    [
        ((200, 240, 320), "fine-tune", "tune_lora"),
        ((200, 320, 240), "prompt", "prompt_shots"),
        ((320, 240, 200), "baseline is enough", "base_tfidf"),
        ((300, 301, 303), "undecided", "tune_lora"),
        ((200, 300, 303), "undecided", "tune_lora"),
    ],
)
def test_answers(rows, answer, choice):
    verdict = decide(trio(*rows))
    assert (verdict.answer, verdict.choice) == (answer, choice)
    assert verdict.candidate == f"{choice}-0"


def test_an_interval_below_0_that_is_not_shown_worse_says_why():
    """Alone the cheaper way is worse at 95 %, among three it is not; the sentence must not seem to deny its numbers."""
    rows = {"base_a": ("baseline", 54, 1.0), "base_b": ("baseline", 58, 2.0), "tune_lora": ("fine-tune", 59, 3.0)}
    verdict = decide([arm(way, kind, right(100, (0, n)), cost) for way, (kind, n, cost) in rows.items()])
    said = next(reason for reason in verdict.reasons if reason.startswith("base_a costs less"))
    assert said.startswith("base_a costs less and is not shown worse when all comparisons count together: −5.0 points")
    assert "Not shown worse than the best, tune_lora, when all comparisons count together: base_b and base_a." in (
        verdict.reasons
    )


def test_both_is_an_answer():
    arms = [*trio(200, 240, 260), arm("both_x", "both", right(400, (0, 340)), 9.0)]
    assert decide(arms).answer == "both"


def test_equivalent_takes_the_cheaper():
    verdict = decide(trio(200, 300, 301), margin=0.03)
    assert (verdict.answer, verdict.choice) == ("equivalent, take the cheaper", "prompt_shots")
    assert "tune_lora is within ±3.0 points" in verdict.headline


def test_a_cheaper_arm_worse_by_less_than_the_margin_is_taken():
    one, two = right(4000, (0, 3000)), right(4000, (0, 3040))
    verdict = decide([arm("a", "prompt", one), arm("b", "fine-tune", two, 5.0)], 0.03)
    assert verdict.choice == "a"
    assert verdict.answer == "equivalent, take the cheaper"
    assert [s.not_worse for s in verdict.standings] == [True, False]


def test_the_cheapest_is_not_decided_by_merely_looking_best():
    arms = [
        arm("base_tfidf", "baseline", right(400, (0, 301)), 1.0),
        arm("prompt_shots", "prompt", right(400, (60, 360)), 2.0),
        arm("tune_lora", "fine-tune", right(400, (90, 390)), 3.0),
    ]
    verdict = decide(arms)
    assert (verdict.answer, verdict.choice) == ("undecided", "base_tfidf")
    assert verdict.standings[0].way == "base_tfidf"


def test_which_of_two_fine_tunes_may_stay_open():
    arms = [*trio(200, 240, 320), arm("tune_full", "fine-tune", right(400, (0, 323)), 4.0)]
    verdict = decide(arms)
    assert (verdict.answer, verdict.choice) == ("fine-tune", "tune_full")
    assert {s.way for s in verdict.standings if s.not_worse} == {"tune_lora", "tune_full"}


def test_of_two_fine_tunes_that_settle_it_the_cheaper_is_named_where_they_are_nearly_equal():
    nearly = [*trio(200, 240, 320), arm("tune_full", "fine-tune", right(400, (0, 320)), 4.0)]
    assert decide(nearly).choice == "tune_lora"
    better = [*trio(200, 240, 320), arm("tune_full", "fine-tune", right(400, (0, 350)), 4.0)]
    assert decide(better).choice == "tune_full"


def test_arms_of_one_kind_are_decided_among_themselves():
    clear = [arm("a", "prompt", right(400, (0, 200))), arm("b", "prompt", right(400, (0, 320)), 2.0)]
    assert decide(clear).answer == "prompt"
    close = [arm("a", "prompt", right(400, (0, 300))), arm("b", "prompt", right(400, (0, 303)), 2.0)]
    assert decide(close).answer == "undecided"


def test_cost_is_compared_at_two_digits_then_by_kind_then_by_name():
    n = 200
    same = right(n, (0, 150))
    arms = [
        arm("tune", "fine-tune", same, 1.001),
        arm("prompt_b", "prompt", same, 1.004),
        arm("prompt_a", "prompt", same, 1.004),
    ]
    assert decide(arms).choice == "prompt_a"
    assert decide([*arms, arm("tune_b", "fine-tune", same, 0.9)]).choice == "tune_b"


def test_total_cost_is_fit_plus_thirty_days():
    a = replace(arm("a", "prompt", right(50, (0, 30))), usd_total=None, usd_fit=2.0, usd_per_1000=0.5)
    assert decide([a], volume=100.0).standings[0].usd_total == pytest.approx(2.0 + 30 * 100 * 0.0005)


def test_failed_arms_do_not_compete_and_are_named():
    failed = Arm(way="tune_lora", kind="fine-tune", scores=np.zeros((0, 0)), status="failed", reason="it diverged")
    verdict = decide([*trio(200, 320, 240)[:2], failed])
    assert verdict.answer == "prompt"
    assert verdict.standings[-1].way == "tune_lora"
    assert verdict.standings[-1].score is None
    assert "tune_lora failed and does not compete: it diverged." in verdict.reasons


def test_all_failed_is_undecided_without_a_choice():
    failed = Arm(way="x", kind="prompt", scores=np.zeros((0, 9)), status="failed", reason="no")
    for arms in ([], [failed]):
        verdict = decide(arms)
        assert (verdict.answer, verdict.choice, verdict.candidate) == ("undecided", None, None)
        assert verdict.would_decide


def test_one_arm_has_nothing_to_compare_with():
    verdict = decide(trio(200, 0, 0)[:1])
    assert (verdict.answer, verdict.choice) == ("undecided", "base_tfidf")


def test_one_row_is_not_enough_data():
    verdict = decide(trio(1, 0, 1, n=1))
    assert (verdict.answer, verdict.choice) == ("undecided", "base_tfidf")
    assert all(s.low is None and s.high is None for s in verdict.standings)
    assert all(p.low is None and p.p is None and p.p_holm is None for p in verdict.pairs)
    assert any("Not enough data" in w for w in verdict.warnings)


def test_one_group_is_not_enough_data():
    arms = [replace(a, groups=("g",) * 400) for a in trio(200, 240, 320)]
    assert decide(arms).answer == "undecided"


def test_arms_that_agree_on_every_row_are_not_known_to_be_equal():
    pair = decide(trio(30, 30, 30, n=50)).pairs[0]
    assert pair.difference == 0
    assert pair.low < -0.03
    assert pair.high > 0.03
    assert decide(trio(30, 30, 30, n=50)).answer == "undecided"


def test_groups_widen_the_interval():
    plain = trio(200, 240, 320)
    grouped = [replace(a, groups=tuple(f"g{i // 20}" for i in range(400))) for a in plain]
    narrow, wide = decide(plain), decide(grouped)
    for a, b in zip(narrow.pairs, wide.pairs, strict=True):
        assert b.high - b.low > a.high - a.low
    for a, b in zip(narrow.standings, wide.standings, strict=True):
        assert b.high - b.low > a.high - a.low


def test_seed_noise_widens_the_interval_and_is_shown():
    steady = [right(400, (0, 300))[0]] * 3
    shaky = [right(400, (0, k))[0] for k in (260, 300, 340)]
    base = trio(200, 240, 0)[:2]
    calm, wild = (decide([*base, arm("tune_lora", "fine-tune", s, 3.0, random=True)]) for s in (steady, shaky))
    assert wild.pairs[0] == calm.pairs[0]
    assert wild.pairs[2].high - wild.pairs[2].low > 3 * (calm.pairs[2].high - calm.pairs[2].low)
    line = next(s for s in wild.standings if s.way == "tune_lora")
    assert line.seed_sd == pytest.approx(0.1)
    assert line.seeds == 3
    assert any("±10.0" in r for r in wild.reasons)
    assert any("from seed to seed" in d for d in wild.dissent)
    assert any("seeds instead of 3" in w for w in wild.would_decide)


def test_one_seed_of_a_random_way_is_warned_about():
    arms = trio(200, 240, 320)
    arms[2] = replace(arms[2], random=True)
    verdict = decide(arms, warnings=("from before",))
    assert verdict.warnings[0] == "from before"
    assert "not measured for tune_lora" in verdict.warnings[1]


def test_the_seed_that_is_best_on_dev_ships_and_ties_go_to_the_lowest():
    scores = [right(400, (0, 320))[0]] * 3
    for dev, seed in (((0.7, 0.8, 0.75), 1), ((0.8, 0.7, 0.8), 0)):
        verdict = decide([*trio(200, 240, 0)[:2], arm("tune_lora", "fine-tune", scores, 3.0, dev_scores=dev)])
        assert verdict.candidate == f"tune_lora-{seed}"


def test_macro_f1_uses_codes_and_decides():
    rng = np.random.default_rng(0)
    n = 300
    targets = rng.integers(0, 4, n)

    def answers(p, seeds=1):
        return np.where(rng.random((seeds, n)) < p, targets, (targets + 1) % 4)

    def made(way, kind, p, total, seeds=1):
        codes = answers(p, seeds)
        return arm(way, kind, codes == targets, total, targets=targets, answers=codes, aggregate=MACRO_F1)

    arms = [made("a", "baseline", 0.5, 1), made("b", "prompt", 0.6, 2), made("c", "fine-tune", 0.8, 3, 3)]
    verdict = decide(arms)
    assert (verdict.answer, verdict.choice) == ("fine-tune", "c")
    assert nouns.canonical(verdict) == nouns.canonical(decide(arms))
    for line in verdict.standings:
        assert line.low < line.score < line.high


def test_arms_of_other_rows_or_without_numbers_are_refused():
    with pytest.raises(ValueError, match="same test rows"):
        decide([arm("a", "prompt", np.ones((1, 3))), arm("b", "prompt", np.ones((1, 4)))])
    with pytest.raises(ValueError, match="no number"):
        decide([arm("a", "prompt", [[1.0, np.nan]])])
    with pytest.raises(ValueError, match="needs targets"):
        decide([arm("a", "prompt", np.ones((1, 3)), aggregate=MACRO_F1)])


def test_sanity_gate():
    assert sanity(0.70, 0.72, 100, 0.01) == ""
    assert "learning rate" in sanity(0.40, 0.72, 100, 0.01, "fine-tune")
    assert "32.0 points" in sanity(0.40, 0.72, 100, 0.01)
    assert sanity(0.40, 0.72, 100, 0.01, "baseline") == ""
    assert sanity(0.40, 0.72, 100, 0.5) == ""
    assert sanity(0.0, 0.5, 0, 0.01) == ""


# --- words


def priced():
    arms = trio(200, 300, 303)
    arms[1] = replace(arms[1], usd_total=None, usd_fit=0.0, usd_per_1000=0.02, dev_score=0.8, seconds_fit=12.0)
    arms[2] = replace(arms[2], usd_total=None, usd_fit=0.9, usd_per_1000=0.01, dev_score=0.8, unparsed=0.02)
    return arms


def test_the_question_is_answered_in_the_reasons_whoever_wins():
    reasons = decide(priced()).reasons
    line = next(r for r in reasons if r.startswith("Prompt or fine-tune?"))
    assert "prompt_shots 75.0 % (70.5–79.0)" in line
    assert "tune_lora − prompt_shots = +0.8 points" in line
    won = decide(trio(350, 200, 300))
    assert any("no language model is needed" in r for r in won.reasons)
    assert "fine-tuning is ahead" in won.headline


def test_dissent_names_the_volume_at_which_the_cost_flips():
    dissent = decide(priced()).dissent
    assert dissent[0] == (
        "Cost over 30 days: prompt_shots is cheaper than tune_lora up to about 3,000 requests a day, "
        "tune_lora above that."
    )
    assert any(d.startswith("With a margin above") for d in dissent)


def test_the_winners_curse_and_unread_answers_are_named():
    reasons = decide(priced()).reasons
    assert any("had 80.0 % on dev and has 75.8 % on test: dev − test = +4.3 points" in r for r in reasons)
    assert any("tune_lora 2.0 %" in r for r in reasons)


def test_percents_in_the_reasons_are_those_of_the_standings():
    verdict = decide(priced())
    for line in verdict.standings:
        text = f"{100 * line.score:.1f} % ({100 * line.low:.1f}–{100 * line.high:.1f})"
        assert any(text in r for r in verdict.reasons) or line.kind == "baseline"


# --- invariants

scores = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed))


def drawn(rng, arms=4, n=60):
    kinds = ("baseline", "prompt", "fine-tune", "both")
    return [
        arm(f"w{k}", kinds[k], rng.random((1 + 2 * (k > 1), n)) * 0.5, float(k + 1), dev_score=float(rng.random()))
        for k in range(arms)
    ]


def numbers(verdict):
    """All numbers of a verdict, names left out."""
    lines = [(s.score, s.low, s.high, s.gap, s.gap_low, s.gap_high, s.not_worse) for s in verdict.standings]
    return lines, [(p.difference, p.low, p.high, p.p, p.p_holm, p.wins, p.losses) for p in verdict.pairs]


@settings(max_examples=25, deadline=None)
@given(scores)
def test_names_and_input_order_do_not_matter(rng):
    arms = drawn(rng)
    verdict = decide(arms)
    renamed = decide([replace(a, way=f"z{9 - k}") for k, a in enumerate(arms)])
    assert numbers(verdict) == numbers(renamed)
    assert verdict.answer == renamed.answer
    assert nouns.canonical(decide(arms[::-1])) == nouns.canonical(verdict)


@settings(max_examples=25, deadline=None)
@given(scores, st.floats(0.01, 0.4))
def test_a_constant_added_to_every_arm_changes_no_pair(rng, constant):
    arms = drawn(rng)
    moved = decide([replace(a, scores=a.scores + constant) for a in arms])
    for one, two in zip(decide(arms).pairs, moved.pairs, strict=True):
        for a, b in ((one.difference, two.difference), (one.low, two.low), (one.high, two.high), (one.p, two.p)):
            assert a == pytest.approx(b, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(scores)
def test_the_set_holds_the_best_and_the_choice_is_a_competing_arm(rng):
    verdict = decide(drawn(rng))
    assert verdict.standings[0].not_worse
    assert verdict.standings[0].gap == 0.0
    assert verdict.choice in {s.way for s in verdict.standings}


@settings(max_examples=15, deadline=None)
@given(scores)
def test_rows_in_another_order_change_nothing(rng):
    arms = drawn(rng)
    order = rng.permutation(60)
    assert numbers(decide([replace(a, scores=a.scores[:, order]) for a in arms])) == numbers(decide(arms))


def test_the_verdict_is_json_and_byte_equal():
    verdict = decide(priced())
    assert nouns.canonical(verdict) == nouns.canonical(decide(priced()))
