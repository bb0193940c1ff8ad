"""What a client may ask of a fine-tuning job, and what the job trains in the engine's terms.

Source: OpenAI's API reference, "Create fine-tuning job". What is not served is refused by name, never ignored.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from whichway.nouns import TrainJob, TrainRow, Weights
from whichway.ship.fine_tuning.training_file import Method, trains_earlier
from whichway.ship.protocol import checked

EPOCHS, BATCH, BETA = 3, 16, 0.1  # what "auto" stands for
KINDS_OF_METHOD = {"supervised": "lora", "dpo": "dpo"}
Auto = Literal["auto"]


class Hyperparameters(BaseModel):
    """Of the method "supervised"; "auto" leaves the choice to us."""

    model_config = ConfigDict(extra="forbid")
    n_epochs: Auto | int = "auto"
    batch_size: Auto | int = "auto"
    learning_rate_multiplier: Auto | float = "auto"

    @field_validator("n_epochs")
    @classmethod
    def _epochs(cls, value: Auto | int) -> Auto | int:
        return _within(value, 1, 50)

    @field_validator("batch_size")
    @classmethod
    def _batch(cls, value: Auto | int) -> Auto | int:
        return _within(value, 1, 256)

    @field_validator("learning_rate_multiplier")
    @classmethod
    def _rate(cls, value: Auto | float) -> Auto | float:
        if value != "auto" and not 0 < value < 1e6:
            raise ValueError("must be 'auto' or a number above 0")
        return value


class DpoHyperparameters(Hyperparameters):
    """Of the method "dpo"."""

    beta: Auto | float = "auto"

    @field_validator("beta")
    @classmethod
    def _beta(cls, value: Auto | float) -> Auto | float:
        if value != "auto" and not 0 < value <= 2:
            raise ValueError("must be 'auto' or a number above 0 and at most 2")
        return value


class _Supervised(BaseModel):
    model_config = ConfigDict(extra="forbid")
    hyperparameters: Hyperparameters = Hyperparameters()


class _Dpo(BaseModel):
    model_config = ConfigDict(extra="forbid")
    hyperparameters: DpoHyperparameters = DpoHyperparameters()


class MethodRequest(BaseModel):
    """How to train."""

    model_config = ConfigDict(extra="forbid")
    type: Method
    supervised: _Supervised | None = None
    dpo: _Dpo | None = None


class JobRequest(BaseModel):
    """The body of `POST /v1/fine_tuning/jobs`."""

    model_config = ConfigDict(extra="forbid")
    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str | None = Field(None, min_length=1, max_length=64)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    method: MethodRequest | None = None
    hyperparameters: Hyperparameters | None = None  # the older spelling of the method "supervised"
    metadata: dict[str, str] | None = None
    integrations: list[Any] | None = Field(None, max_length=0)

    @field_validator("suffix")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.-]+", value, re.ASCII):
            raise ValueError("letters, digits, '-', '_' and '.' only")
        return value

    @field_validator("metadata")
    @classmethod
    def _small(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value and (len(value) > 16 or any(len(k) > 64 or len(v) > 512 for k, v in value.items())):
            raise ValueError("at most 16 pairs, keys of at most 64 and values of at most 512 characters")
        return value

    @property
    def kind(self) -> Method:
        """The method's name."""
        return self.method.type if self.method else "supervised"

    @property
    def numbers(self) -> Hyperparameters:
        """The hyperparameters as the client gave them."""
        if self.method is None:
            return self.hyperparameters or Hyperparameters()
        if self.method.type == "dpo":
            return (self.method.dpo or _Dpo()).hyperparameters
        return (self.method.supervised or _Supervised()).hyperparameters


def parse_job(body: bytes) -> JobRequest:
    """The client's body, checked.

    Raises:
        Refused: no JSON, an unknown field ("did you mean"), or a value that does not fit.
    """
    return checked(JobRequest, body)


def resolved(kind: Method, numbers: Hyperparameters) -> dict[str, Any]:
    """The hyperparameters with a number for each "auto"."""
    auto: dict[str, Any] = {"n_epochs": EPOCHS, "batch_size": BATCH, "learning_rate_multiplier": 1.0}
    if kind == "dpo":
        auto["beta"] = BETA
    chosen = {name: value for name, value in numbers.model_dump().items() if value != "auto"}
    return {**auto, **chosen}


def training(kind: Method, weights: Weights, rows: tuple[TrainRow, ...], seed: int, numbers: Any) -> TrainJob:
    """The engine's job: one checkpoint for each epoch.

    Args:
        kind: the method.
        weights: where it starts.
        rows: of the training file.
        seed: of all that is random.
        numbers: what `resolved` gave.
    """
    options: dict[str, Any] = {
        "epochs": numbers["n_epochs"],
        "batch": numbers["batch_size"],
        "factor": float(numbers["learning_rate_multiplier"]),
    }
    if kind == "dpo":
        options["beta"] = numbers["beta"]
    elif trains_earlier(rows):
        options["targets"] = "all"
    return TrainJob(KINDS_OF_METHOD[kind], weights, rows, (), seed, options)


def _within(value: Auto | int, least: int, most: int) -> Auto | int:
    if value != "auto" and not least <= value <= most:
        raise ValueError(f"must be 'auto' or a whole number from {least} to {most}")
    return value
