"""The registry: rows that are complete and true, and an error that lists them."""

from __future__ import annotations

import dataclasses
import re
from importlib import resources

import pytest

from rtmatte.errors import UnknownModelError
from rtmatte.matting.registry import MODELS, ModelSpec, find_model

every_model = pytest.mark.parametrize("spec", MODELS, ids=[spec.name for spec in MODELS])


@every_model
def test_rows_are_complete(spec: ModelSpec) -> None:
    for field in dataclasses.fields(spec):
        assert getattr(spec, field.name), field.name
    assert re.fullmatch("[0-9a-f]{64}", spec.sha256)
    assert find_model(spec.name) is spec


@every_model
def test_the_file_ships_with_licence_notice_and_card(spec: ModelSpec) -> None:
    weights = resources.files("rtmatte").joinpath("weights")
    assert len(weights.joinpath(spec.file).read_bytes()) == spec.size_bytes
    assert "Apache License" in weights.joinpath(f"LICENSE-{spec.name}").read_text("utf-8")
    assert spec.source in weights.joinpath(f"NOTICE-{spec.name}").read_text("utf-8")
    assert spec.sha256 in weights.joinpath(f"{spec.name}.md").read_text("utf-8")


def test_names_are_unique() -> None:
    assert len({spec.name for spec in MODELS}) == len(MODELS)


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS[0].sha256 = "0" * 64  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "U2NETP", "u2net", "../u2netp"])
def test_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model(name)
    assert repr(name) in str(caught.value)
    for spec in MODELS:
        assert spec.name in str(caught.value)
    assert isinstance(caught.value, ValueError)
