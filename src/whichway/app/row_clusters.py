"""Test rows that are alike by a sentence encoder: the report looks among them for groups that fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from whichway.contracts import Backend
from whichway.errors import ModelError
from whichway.nouns import Weights
from whichway.runs.folder import CLUSTERS, write_json
from whichway.runs.run import Run

MOST_ROWS = 1000  # that are read unasked at the end of a run: some seconds


def cluster_rows(run: Run, backends: Mapping[str, Backend], encoder: Weights) -> None:
    """Cluster the test rows by an encoder's vectors and keep that in the run folder.

    Args:
        run: a finished run; what it has read of the folder is renewed.
        backends: by name.
        encoder: on this machine.

    Raises:
        ModelError: the encoder cannot be read.
    """
    import numpy as np

    from whichway.prompts.nearest import embedder_of
    from whichway.verdict.text_parts import clusterings

    vectors = embedder_of(backends, encoder).embed(encoder, [row.text for row in run.test])
    codes = clusterings(np.stack([each.vector for each in vectors]).astype(float)) if vectors else []
    facts = {"encoder": encoder.base, "revision": encoder.revision, "codes": [each.tolist() for each in codes]}
    write_json(run.path / CLUSTERS, facts)
    run.clusters = facts


def keep_clusters(run: Run, backends: Mapping[str, Backend]) -> None:
    """Cluster the test rows where the contest itself used an encoder; without one, words stand in for it."""
    encoder = encoder_of_run(run)
    if encoder is None or run.clusters is not None or not 0 < len(run.test) <= MOST_ROWS:
        return
    try:
        cluster_rows(run, backends, encoder)
    except (ModelError, KeyError):  # it has gone, or changed, since: the report does without
        return


def encoder_of_run(run: Run) -> Weights | None:
    """The encoder that a way of the run stands on, or that chose its shots; None: there is none."""
    for candidate in run.candidates.values():
        if candidate.weights.backend == "encoder" and candidate.weights.kind.startswith("encoder"):
            return replace(candidate.weights, adapter=None, kind="none")
        if candidate.prompt.encoder is not None:
            return candidate.prompt.encoder
    return None
