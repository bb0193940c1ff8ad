from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from whichway.errors import DiskError, OptionError, UserError
from whichway.nouns import (
    Budget,
    Candidate,
    Decoding,
    Kind,
    MetricSpec,
    Plan,
    Prompt,
    Shot,
    Standing,
    Verdict,
    Weights,
    to_json,
)
from whichway.prompts import template
from whichway.prompts.template import placeholder
from whichway.runs.folder import write_json, write_text
from whichway.ship import pick, ship
from whichway.ship.prompts import prompt_files

LABELS = ("billing", "delivery")
PROMPT = Prompt(objective="Which team?", labels=LABELS, shots=(Shot("card charged", "billing"),), reminder="One word.")


def candidate(
    way: str, kind: str = "none", adapter: str | None = None, backend: str = "local", seed: int = 0
) -> Candidate:
    base = "embedded" if backend == "local" else way
    weights = Weights(backend=backend, base=base, revision="r1", adapter=adapter, kind=kind)
    prompt = Prompt() if backend == "classical" else PROMPT
    return Candidate(prompt, weights, Decoding(), way=way, seed=seed, note=f"{way} note")


PLAIN = candidate("prompt_shots")
LORA = candidate("tune_lora", "lora", "aaaa")
LORA_2 = candidate("tune_lora", "lora", "bbbb", seed=1)
TFIDF = candidate("base_tfidf", "tfidf", "cccc", backend="classical")


def standing(one: Candidate, kind: Kind, *more: Candidate) -> Standing:
    return Standing(
        way=one.way, kind=kind, status="ok", reason="", candidates=(one.id, *(m.id for m in more)),
        note=one.note, seeds=1, rows=50, score=0.8, low=0.7, high=0.9, seed_sd=None, dev_score=0.82, unparsed=0.0,
        seconds_fit=3.0, seconds_per_row=0.01, tokens_in=10, tokens_cached=5, tokens_out=1, usd_fit=0.0,
        usd_per_1000=0.01, usd_total=1.0, gap=None, gap_low=None, gap_high=None, not_worse=True,
    )  # fmt: skip


def make_run(folder: Path, winner: Candidate | None = LORA, fields: tuple[str, ...] = ("text",)) -> Path:
    plan = Plan(
        task="support", ask="Which team?", metric=MetricSpec("accuracy"), labels=LABELS,
        splits={"train": "1", "dev": "2", "test": "3"}, rows={"train": 9, "dev": 5, "test": 50}, model="embedded",
        revision="r1", ways={"tune_lora": {}}, seeds=(0, 1), budget=Budget(), volume=1000.0, margin=0.01,
        confidence=0.95, price_per_hour=0.1, versions={}, smallest_gap=0.1,
    )  # fmt: skip
    write_json(folder / "plan.json", {"format": 1, **to_json(plan)})
    row = {
        "id": "e1",
        "split": "test",
        "input": dict.fromkeys(fields, "x"),
        "text": "x",
        "target": "billing",
        "group": None,
    }
    write_text(folder / "rows.jsonl", json.dumps(row) + "\n")
    dev = {LORA.id: 0.8, LORA_2.id: 0.9}
    for one in (PLAIN, LORA, LORA_2, TFIDF):
        line = {"candidate": to_json(one), "id": one.id, "dev_score": dev.get(one.id, 0.5), "finalist": True}
        path = folder / "ways" / one.way / "candidates.jsonl"
        before = path.read_text() if path.exists() else ""
        write_text(path, before + json.dumps(line) + "\n")
        if one.weights.adapter:
            place = path.parent / "adapters" / one.weights.adapter
            write_text(place / "adapter_config.json", "{}")
            write_text(place / "adapter_model.safetensors", one.weights.adapter)
    standings = (standing(LORA, "fine-tune", LORA_2), standing(PLAIN, "prompt"), standing(TFIDF, "baseline"))
    verdict = Verdict(
        answer="fine-tune" if winner else "undecided", choice=winner.way if winner else None,
        candidate=winner.id if winner else None, headline="Fine-tune: better by 9 points.", reasons=("It is better.",),
        dissent=(), would_decide=(), standings=standings, pairs=(), margin=0.01, confidence=0.95, volume=1000.0,
        rows=50,
    )  # fmt: skip
    write_json(folder / "verdict.json", verdict)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "support")


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_winner_folder_is_whole(run: Path, tmp_path: Path) -> None:
    shipped = ship(run, tmp_path / "winner")
    files = content(tmp_path / "winner")
    assert set(files) == set(shipped.files)
    assert {"prompt.txt", "messages.json", "prompt.json", "README.md", "manifest.json", "use.py"} <= set(files)
    assert files["adapter/adapter_model.safetensors"] == b"aaaa"
    manifest = json.loads(files["manifest.json"])
    assert manifest["candidate"] == LORA.id
    assert manifest["verdict"]["answer"] == "fine-tune"
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"}
    assert manifest["files"] == digests
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_second_ship_is_byte_equal(run: Path, tmp_path: Path) -> None:
    ship(run, tmp_path / "winner")
    first = content(tmp_path / "winner")
    ship(run, tmp_path / "winner")
    assert content(tmp_path / "winner") == first


def test_prompt_files_render_as_measured(run: Path, tmp_path: Path) -> None:
    ship(run, tmp_path / "winner")
    files = content(tmp_path / "winner")
    row = "where is {{ my }} parcel\nplease"
    messages = json.loads(files["messages.json"])
    filled = [(m["role"], m["content"].replace(messages["placeholder"], row)) for m in messages["messages"]]
    assert filled == [(m.role, m.content) for m in template.messages(PROMPT, row)]
    assert files["prompt.txt"].decode().replace("{{input}}", row) == template.plain(template.messages(PROMPT, row))


def test_placeholder_avoids_the_prompts_words() -> None:
    prompt = Prompt(objective="Explain what {{input}} means", shots=(Shot("{{input_2}}", "a"),))
    assert placeholder(prompt) == "{{input_3}}"
    candidate = Candidate(prompt, Weights("local", "embedded"), Decoding())
    assert prompt_files(candidate)["messages.json"]["placeholder"] == "{{input_3}}"


def test_card_has_base_prompt_results_and_data(run: Path, tmp_path: Path) -> None:
    ship(run, tmp_path / "winner")
    card = (tmp_path / "winner" / "README.md").read_text()
    for part in (
        'base_model: "embedded"',
        "library_name: peft",
        "r1",
        "0.800",
        "0.700 to 0.900",
        "Which team?",
        "One word.",
    ):
        assert part in card
    assert str(tmp_path) not in card


def test_prompt_winner_has_no_trained_part(tmp_path: Path) -> None:
    shipped = ship(make_run(tmp_path / "run", PLAIN), tmp_path / "winner")
    assert not any(name.startswith("adapter/") for name in shipped.files)


def test_baseline_ships_its_files_and_no_prompt(run: Path, tmp_path: Path) -> None:
    shipped = ship(run, tmp_path / "winner", way="base_tfidf")
    assert "classical/adapter_model.safetensors" in shipped.files
    assert "prompt.txt" not in shipped.files


def test_way_gives_its_best_on_dev(run: Path) -> None:
    assert pick(run, way="tune_lora").candidate.id == LORA_2.id


def test_two_ways_that_end_at_one_candidate_keep_their_names(run: Path) -> None:
    lines = (run / "ways" / "tune_lora" / "candidates.jsonl").read_text(encoding="utf-8")
    twin = run / "ways" / "both_prompt_then_lora" / "candidates.jsonl"
    twin.parent.mkdir()
    twin.write_text(lines.replace('"tune_lora"', '"both_prompt_then_lora"'), encoding="utf-8")
    assert pick(run, way="tune_lora").candidate.way == "tune_lora"
    assert pick(run).candidate.way == "tune_lora"


def test_candidate_by_start_of_id(run: Path) -> None:
    assert pick(run, candidate=PLAIN.id[:8]).candidate == PLAIN


@pytest.mark.parametrize(("candidate", "way"), [("zzzz", None), ("", None), (None, "tune_lra")])
def test_unknown_candidate_or_way(run: Path, candidate: str | None, way: str | None) -> None:
    with pytest.raises(OptionError):
        pick(run, candidate, way)


def test_unfinished_run(run: Path) -> None:
    (run / "verdict.json").unlink()
    with pytest.raises(UserError, match=r"verdict\.json"):
        pick(run)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run folder"):
        pick(tmp_path / "nothing")


def test_undecided_without_choice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no winner"):
        pick(make_run(tmp_path / "run", None))


def test_missing_trained_part_names_the_kept(run: Path) -> None:
    for path in (run / "ways/tune_lora/adapters/aaaa").iterdir():
        path.unlink()
    (run / "ways/tune_lora/adapters/aaaa").rmdir()
    with pytest.raises(UserError, match=PLAIN.id):
        pick(run)


def test_foreign_folder_is_left_alone(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "winner"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        ship(run, out)
    assert content(out) == {"thesis.txt": b"years of work"}


def test_own_file_in_a_shipped_folder_is_kept(run: Path, tmp_path: Path) -> None:
    ship(run, tmp_path / "winner")
    (tmp_path / "winner" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        ship(run, tmp_path / "winner")
    assert (tmp_path / "winner" / "notes.txt").read_text() == "mine"


def test_file_in_the_way(run: Path, tmp_path: Path) -> None:
    (tmp_path / "winner").write_text("a file")
    with pytest.raises(UserError, match="no folder"):
        ship(run, tmp_path / "winner")


@pytest.mark.parametrize(
    ("code", "reason", "advice"),
    [(28, "No space left", "Free some space, or give another"), (13, "Permission denied", "Give another folder")],
)
def test_a_disk_error_leaves_the_old_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str, advice: str
) -> None:
    ship(run, tmp_path / "winner")
    before = content(tmp_path / "winner")

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, reason)

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(DiskError, match=f"{reason}.*{advice}"):
        ship(run, tmp_path / "winner")
    assert content(tmp_path / "winner") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs", "winner"]


def test_card_names_each_input_field(tmp_path: Path) -> None:
    ship(make_run(tmp_path / "run", fields=("subject", "body")), tmp_path / "winner")
    assert "one line `name: value` for each of `subject`, `body`" in (tmp_path / "winner" / "README.md").read_text()
