"""`--shards` reaches the backends of the models under trial, in a run and in what a run is estimated by."""

import dataclasses

from contest_kit import make_components, settings_for, small_task

from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.dry_run.simulate import estimate
from whichway.contest.executors.ray import most_cards
from whichway.contracts import follow_nothing


def test_ray_gives_a_cell_no_more_cards_than_a_node_has():
    class Ray:
        @staticmethod
        def nodes():
            return [
                {"Alive": True, "Resources": {"CPU": 4, "GPU": 2}}, {"Alive": True, "Resources": {"CPU": 4}},
                {"Alive": False, "Resources": {"GPU": 8}},
            ]  # fmt: skip

    assert most_cards(Ray) == 2


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
