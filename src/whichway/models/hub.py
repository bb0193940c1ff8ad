"""Models of a model hub: found in the hub's own cache on this machine, or downloaded into it once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from whichway.errors import DiskError, ModelError
from whichway.models import model_cache
from whichway.models.model_files import PATTERNS

NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def here(name: str, revision: str = "", files: Sequence[str] = PATTERNS) -> Path | None:
    """The folder of a model that was downloaded before; None where it was not."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(name, revision=revision or None, allow_patterns=list(files), local_files_only=True)
        )
    except Exception:  # not in the cache, or no name that the hub could have
        return None


def find(name: str, revision: str = "", files: Sequence[str] = PATTERNS) -> Path:
    """The folder of a model, downloaded where it is not on this machine yet.

    Raises:
        ModelError: there is no such model, it asks for permission, or the hub cannot be reached; half a sentence.
        DiskError: the disk is full.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    downloaded = here(name, revision, files)
    if downloaded is not None and any(downloaded.iterdir()):
        return downloaded
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(files)))
    except GatedRepoError as error:
        raise ModelError(
            f"the hub asks for permission to download {name}: accept its terms there and log in"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError("there is no such model on the hub") from error
    except Exception as error:  # whatever the network does
        if model_cache.is_full(error):
            raise DiskError(f"The disk is full: {name} could not be downloaded. Free some space.") from error
        raise ModelError(f"the hub cannot be reached ({type(error).__name__})") from error
