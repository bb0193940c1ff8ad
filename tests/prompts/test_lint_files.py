"""Reading files, suppressions, baselines, SARIF."""

# ruff: noqa: E501 - a schema

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from lint_kit import data, scene

from whichway.app.prompt_files import read_drafts
from whichway.errors import DataError, OptionError
from whichway.lint import Scene, lint, rules
from whichway.lint.sarif import sarif
from whichway.lint.suppress import baseline, fresh, read_baseline, suppressions
from whichway.nouns import Shot

# What SARIF 2.1.0 asks of the parts that are written here (OASIS, sections 3.13 to 3.52).
SARIF = {
    "type": "object",
    "required": ["version", "runs", "$schema"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id", "shortDescription", "defaultConfiguration"],
                                            "properties": {
                                                "defaultConfiguration": {
                                                    "properties": {"level": {"enum": ["none", "note", "warning", "error"]}}
                                                }
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"type": "object", "required": ["text"]},
                                "partialFingerprints": {"additionalProperties": {"type": "string"}},
                                "locations": {
                                    "minItems": 1,
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {"required": ["uri"]},
                                                    "region": {
                                                        "required": ["startLine", "startColumn", "endLine", "endColumn"],
                                                        "additionalProperties": {"type": "integer", "minimum": 1},
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


def found_in(text: str) -> list:
    return lint(scene(text, data()))


def test_sarif_is_valid_and_points_at_the_rules() -> None:
    found = found_in("You MUST be perfect!!\n\nSay which team, etc.\n{{text}}\n")
    written = json.loads(sarif([("prompts/a.txt", f) for f in found], rules()))
    jsonschema.validate(written, SARIF)
    run = written["runs"][0]
    assert len(run["results"]) == len(found) > 3
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["endLine"], region["endColumn"]) > (region["startLine"], region["startColumn"])
    levels = {r["ruleId"]: r["level"] for r in run["results"]}
    assert (levels["PL004"], levels["PL010"]) == ("error", "note")


def test_a_comment_suppresses_the_next_line_or_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("# whichway: ignore PL010\nYou MUST answer.\nYou MUST answer with a word, etc.\n{{text}}\n")
    draft = read_drafts(path)[0]
    assert "whichway" not in draft.prompt.objective
    found = lint(Scene(draft))
    ignored = suppressions(draft.source, rules())
    kept = [f for f in found if not ignored.holds(f)]
    assert [f.line for f in found if f.id == "PL010"] == [2, 3]
    assert [f.line for f in kept if f.id == "PL010"] == [3]
    whole = suppressions("<!-- whichway: ignore-file PL008, PL010 -->\n", rules())
    assert not [f for f in found if f.id in ("PL008", "PL010") and not whole.holds(f)]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(OptionError, match="PL999"):
        suppressions("# whichway: ignore PL999", rules())


def test_a_baseline_survives_moved_lines_and_shows_new_findings() -> None:
    old = found_in("You MUST answer.\n{{text}}\n")
    accepted = read_baseline(baseline(old), "b.json")
    moved = found_in("Which team?\n\nYou MUST answer.\n{{text}}\n")
    new = fresh(moved, accepted)
    assert not [f for f in new if f.id == "PL010"]
    twice = found_in("You MUST answer. You MUST answer.\n{{text}}\n")
    assert [f.id for f in fresh(twice, accepted) if f.snippet == "MUST"] == ["PL010"]
    assert fresh(old, Counter()) == old


def test_a_broken_baseline_says_what_to_do() -> None:
    with pytest.raises(DataError, match="--write-baseline"):
        read_baseline("[]", "b.json")


def test_chat_messages(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Sort mail."},
        {"role": "user", "content": "lamp broken"},
        {"role": "assistant", "content": "returns"},
        {"role": "user", "content": "Mail: {{text}}"},
    ]
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"messages": turns, "temperature": 0.7}))
    draft = read_drafts(path)[0]
    assert draft.prompt.objective == "Sort mail."
    assert draft.prompt.shots == (Shot("lamp broken", "returns"),)
    assert draft.settings == {"temperature": 0.7}
    assert draft.form == "messages"


def test_slots_with_settings(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("objective: Which team?\nlabels: [a, b]\ntemperature: 0.5\n")
    draft = read_drafts(path)[0]
    assert draft.prompt.labels == ("a", "b")
    assert [f.id for f in lint(Scene(draft))] == ["PL040"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "objectve: Sort.\n", "objective"),
        ("p.yaml", "objective: [\n", "not valid YAML"),
        ("p.json", '[{"role": "robot", "content": "x"}]', "message 1 needs a role"),
        ("p.json", "[1,", "p.json:1: not valid JSON"),
        ("p.txt", " \n", "empty"),
    ],
)
def test_bad_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_drafts(path)


def test_no_error_on_the_plain_prompt_and_few_notes_on_the_examples() -> None:
    """The repository's own prompts: nothing but what was planted."""
    folder = Path(__file__).parents[2] / "src/whichway/examples/prompts"
    planted = {"unlisted": set(), "shouting": {"PL010", "PL012", "PL014", "PL043"}, "skewed": {"PL025"}}
    for name, wanted in planted.items():
        path = next(folder.glob(f"{name}.*"))
        found = {f.id for draft in read_drafts(path) for f in lint(Scene(draft))}
        assert found == wanted, name
