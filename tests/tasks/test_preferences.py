"""Preference data: columns, conversations, the metric, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whichway.errors import DataError, OptionError
from whichway.nouns import Example, MetricSpec
from whichway.tasks import examine, from_flags, metrics

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")


def lines(folder: Path, made) -> Path:
    path = folder / "preferences.jsonl"
    asked = [f"{a} and {b}, what of it?" for a in WORDS for b in WORDS if a < b]
    path.write_text("\n".join(json.dumps(made(text)) for text in asked))
    return path


def plain(text: str) -> dict[str, str]:
    return {"prompt": text, "chosen": f"Gladly: {text[:5]}", "rejected": "No."}


def examined(path: Path, **flags):
    return examine(from_flags(None, data=path, **flags))


def test_columns_prompt_chosen_rejected(tmp_path):
    found = examined(lines(tmp_path, plain))
    task = found.task
    assert task.metric == MetricSpec("preference")
    assert task.labels == ()
    assert task.ask == ""
    assert all(e.rejected == "No." and e.target.startswith("Gladly") for e in (*task.train, *task.dev, *task.test))
    practice = task.train_dev_view()
    assert practice.is_preference
    assert practice.mode == "likelier"
    assert any("chosen or rejected" in note for note in found.findings.notes)


def test_per_token_is_an_option_of_the_metric(tmp_path):
    spec = MetricSpec("preference", {"per_token": True})
    assert examined(lines(tmp_path, plain), metric=spec).task.train_dev_view().mode == "likelier_per_token"


@pytest.mark.parametrize(
    "made",
    [
        lambda text: {
            "chosen": [{"role": "user", "content": text}, {"role": "assistant", "content": f"Gladly: {text[:5]}"}],
            "rejected": [{"role": "user", "content": text}, {"role": "assistant", "content": "No."}],
        },
        lambda text: {
            "prompt": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}],
            "chosen": [{"role": "assistant", "content": f"Gladly: {text[:5]}"}],
            "rejected": [{"role": "assistant", "content": "No."}],
        },
        lambda text: {
            "prompt": text,
            "chosen": [{"role": "user", "content": text}, {"role": "assistant", "content": f"Gladly: {text[:5]}"}],
            "rejected": [{"role": "user", "content": text}, {"role": "assistant", "content": "No."}],
        },
        lambda text: {
            "prompt": text,
            "chosen": [{"role": "assistant", "content": f"Gladly: {text[:5]}"}],
            "rejected": [{"role": "assistant", "content": "No."}],
        },
    ],
)
def test_conversations_that_differ_in_their_last_answer(tmp_path, made):
    task = examined(lines(tmp_path, lambda text: {**made(text), "score": 3})).task
    (one,) = [e for e in (*task.train, *task.dev, *task.test) if e.input["prompt"].startswith("amber and birch")]
    assert (one.target, one.rejected) == ("Gladly: amber", "No.")
    assert task.ask in ("", "Be kind.")


def test_the_rejected_answer_is_part_of_a_rows_identity():
    one, two = (Example({"prompt": "x"}, "yes", rejected=word) for word in ("no", "never"))
    assert len({one.id, two.id, Example({"prompt": "x"}, "yes").id}) == 3


def test_what_is_no_preference_is_refused(tmp_path):
    with pytest.raises(DataError, match="are the same"):
        examined(lines(tmp_path, lambda text: {**plain(text), "rejected": plain(text)["chosen"]}))
    with pytest.raises(DataError, match=r"rejected answer .* is empty"):
        examined(lines(tmp_path, lambda text: {**plain(text), "rejected": ""}))
    with pytest.raises(OptionError, match="not by token_f1"):
        examined(lines(tmp_path, plain), metric=MetricSpec("token_f1"))
    with pytest.raises(OptionError, match="wants rows with a column"):
        examined(
            lines(tmp_path, lambda text: {"prompt": text, "completion": f"Gladly: {text}"}),
            metric=MetricSpec("preference"),
        )
    with pytest.raises(OptionError, match="unknown option"):
        examined(lines(tmp_path, plain), metric=MetricSpec("preference", {"per_tokn": True}))
    other = [{"role": "user", "content": "another question"}, {"role": "assistant", "content": "No."}]
    with pytest.raises(DataError, match="different conversations"):
        examined(
            lines(
                tmp_path,
                lambda text: {
                    "chosen": [{"role": "user", "content": text}, {"role": "assistant", "content": "Gladly."}],
                    "rejected": other,
                },
            )
        )


def test_the_metric_compares_answers_as_they_are():
    metric = metrics.load(MetricSpec("preference"))
    row = Example({"prompt": "x"}, "Yes.", rejected="yes")
    assert metric(row, "Yes.").value == 1.0
    assert metric(row, "yes").value == 0.0
    assert metric(row, " ").value is None
