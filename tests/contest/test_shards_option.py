"""`--shards` reaches the backends of the models under trial, in a run and in what a run is estimated by."""

import dataclasses

from contest_kit import make_components, settings_for, small_task

from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.dry_run.simulate import estimate
from whichway.contracts import follow_nothing


class Sharing(FakeBackend):
    """A fake model whose trainings can be shared out."""

    def __init__(self):
        super().__init__()
        self.shards = None


def test_it_is_told_to_backends_and_changes_no_plan(tmp_path):
    task, backend = small_task(60, 20, 20), Sharing()
    components = make_components(task)
    components = dataclasses.replace(components, backends={**components.backends, "fake": backend})
    settings = dataclasses.replace(settings_for(tmp_path, {"prompt_plain": {}}), shards=2, forgetting=False)
    estimate(task, components, settings, follow_nothing)
    assert backend.shards == 2
    backend.shards = None
    run(task, components, folder=tmp_path / "run", settings=settings)
    assert backend.shards == 2
    run(task, components, folder=tmp_path / "run", settings=dataclasses.replace(settings, shards=None))  # goes on
    assert backend.shards is None
