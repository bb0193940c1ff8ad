"""ww.Classifier: scikit-learn's contract, its own checks, cross-validation, pipelines, pickles."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from test_porch import TEAMS, tickets

import whichway as ww

FEW = "a contest needs 12 rows; the check fits ten and fewer"
EXPECTED = {
    "check_estimators_nan_inf": FEW,
    "check_fit2d_1feature": FEW,
    "check_classifiers_one_label": "one class only: there is nothing to decide, the contest refuses",
    "check_classifiers_train": "its numbers mean something as numbers only; every cell is read as text",
}
QUICK = (
    "check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types", "check_estimator_repr",
    "check_no_attributes_set_in_init", "check_estimators_unfitted", "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order", "check_get_params_invariance", "check_set_params", "check_parameters_default_constructible",
    "check_fit1d", "check_requires_y_none", "check_dont_overwrite_parameters", "check_estimators_fit_returns_self",
    "check_fit2d_1sample",
)  # fmt: skip
TEXTS = [text for text, _ in tickets()]
LABELS = [team for _, team in tickets()]


def quick(**more: Any) -> ww.Classifier:
    return ww.Classifier(**{"model": "fake", "ways": ["base_tfidf"], "seeds": 1, **more})


@pytest.fixture(scope="module")
def fitted() -> ww.Classifier:
    return quick(ways=["base_tfidf", "tune_lora"]).fit(TEXTS, LABELS)


def test_quick_checks_of_scikit_learn_pass():
    seen = set()
    for estimator, check in estimator_checks_generator(quick()):
        name = check.func.__name__
        if name in QUICK:
            seen.add(name)
            check(estimator)
    assert seen == set(QUICK)


@pytest.mark.slow
def test_all_checks_of_scikit_learn_pass_but_those_that_a_contest_refuses():
    results = check_estimator(quick(), expected_failed_checks=EXPECTED, on_skip=None)
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(EXPECTED)
    assert sum(r["status"] == "passed" for r in results) >= 49


def test_predictions_probabilities_and_score_agree(fitted: ww.Classifier):
    proba = fitted.predict_proba(TEXTS)
    assert proba.shape == (len(TEXTS), 3)
    assert proba.sum(axis=1) == pytest.approx(np.ones(len(TEXTS)))
    assert list(fitted.classes_[proba.argmax(axis=1)]) == list(fitted.predict(TEXTS))
    assert fitted.score(TEXTS, LABELS) == pytest.approx(np.mean(fitted.predict(TEXTS) == np.array(LABELS)))
    assert fitted.score(TEXTS, LABELS) > 0.9
    assert fitted.run_.verdict.choice in ("base_tfidf", "tune_lora")


def test_labels_keep_their_type_and_frames_their_fields():
    codes = np.array([sorted(TEAMS).index(team) for team in LABELS])
    frame = pandas.DataFrame({"subject": [text.split()[0] for text in TEXTS], "body": TEXTS})
    found = quick().fit(frame, codes)
    assert found.predict(frame).dtype == codes.dtype
    assert list(found.feature_names_in_) == ["subject", "body"]
    assert found.run_.source().fields == ("subject", "body")
    with pytest.raises(ValueError, match="feature names should match"):
        found.predict(frame.rename(columns={"body": "text"}))
    with pytest.raises(ValueError, match="expecting 2 features"):
        found.predict(TEXTS)


def test_a_pickle_predicts_the_same_elsewhere(fitted: ww.Classifier):
    data = pickle.dumps(fitted)
    other = pickle.loads(data)
    assert other.run_.path != fitted.run_.path
    assert list(other.predict(TEXTS)) == list(fitted.predict(TEXTS))
    assert pickle.loads(pickle.dumps(other)).predict_proba(TEXTS[:5]) == pytest.approx(fitted.predict_proba(TEXTS[:5]))
    adapters = [path for path in other.run_.path.glob("ways/*/adapters/*") if path.is_dir()]
    assert len(adapters) <= 1


def test_clones_parameters_pipelines_and_cross_validation():
    classifier = quick(minutes=5, options={"margin": 0.05})
    twin = clone(classifier).set_params(seeds=2)
    assert twin.get_params() == {**classifier.get_params(), "seeds": 2}
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = Pipeline([("lower", lower), ("which", classifier)])
    scores = cross_val_score(pipeline, TEXTS, LABELS, cv=2)
    assert scores.shape == (2,)
    assert scores.mean() > 0.5


def test_what_cannot_be_fitted_is_a_value_error_that_says_why(tmp_path):
    with pytest.raises(ValueError, match="one class only"):
        quick().fit(TEXTS, ["same"] * len(TEXTS))
    with pytest.raises(ValueError, match="rows"):
        quick().fit(TEXTS[:5], LABELS[:5])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick().fit(TEXTS, LABELS[:-1])
    with pytest.raises(ww.OptionError, match="no way 'base_tfidff'"):
        quick(ways=["base_tfidff"]).fit(TEXTS, LABELS)


def test_the_run_folder_is_kept_where_it_is_named(tmp_path):
    found = quick(folder=tmp_path / "run").fit(TEXTS, LABELS)
    assert ww.read_run(tmp_path / "run").verdict == found.run_.verdict
