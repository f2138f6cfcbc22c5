"""The registry: rows that are complete and true, and an error that lists them."""

from __future__ import annotations

import dataclasses
import re
from importlib import resources

import pytest

from rtmatte.errors import UnknownModelError
from rtmatte.matting.registry import MODELS, PULLED, SHIPPED, ModelSpec, find_model

every_model = pytest.mark.parametrize("spec", MODELS, ids=[spec.name for spec in MODELS])
every_shipped = pytest.mark.parametrize("spec", SHIPPED, ids=[spec.name for spec in SHIPPED])


@every_model
def test_rows_are_complete(spec: ModelSpec) -> None:
    assert spec.file
    assert spec.licence
    assert spec.notes
    assert spec.size_bytes > 0
    assert spec.sha256 or spec.md5
    assert re.fullmatch("[0-9a-f]{64}", spec.sha256 or "0" * 64)
    assert re.fullmatch("[0-9a-f]{32}", spec.md5 or "0" * 32)
    assert all(re.match(r"https://|pip:\S+==\S+!\S+|npm:\S+@\S+", source) for source in spec.sources)
    assert find_model(spec.name) is spec


@every_shipped
def test_the_file_ships_with_licence_notice_and_card(spec: ModelSpec) -> None:
    weights = resources.files("rtmatte").joinpath("weights")
    assert len(weights.joinpath(spec.file).read_bytes()) == spec.size_bytes
    assert "Apache License" in weights.joinpath(f"LICENSE-{spec.notice}").read_text("utf-8")
    assert all(source in weights.joinpath(f"NOTICE-{spec.notice}").read_text("utf-8") for source in spec.sources)
    card = weights.joinpath(spec.card or "").read_text("utf-8")
    assert spec.sha256
    assert spec.sha256 in card
    assert spec.name.removeprefix("selfie-multiclass") in card


def test_only_permissive_models_ship() -> None:
    assert all(spec.permissive and spec.shipped for spec in SHIPPED)
    assert not any(spec.shipped for spec in PULLED)
    assert not find_model("rvm").permissive


def test_what_is_pulled_can_be_checked_and_has_a_source_that_needs_no_npm() -> None:
    for spec in PULLED:
        for file in spec.files:
            assert file.sha256 or file.md5
            assert any(source.startswith(("https://", "pip:")) for source in file.sources)


def test_names_are_unique() -> None:
    assert len({spec.name for spec in MODELS}) == len(MODELS)


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS[0].sha256 = "0" * 64  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "U2NETP", "u2net-human", "../u2netp"])
def test_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model(name)
    assert repr(name) in str(caught.value)
    for spec in MODELS:
        assert spec.name in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_name_that_stands_for_several_nets_has_all_their_files() -> None:
    for spec in MODELS:
        if spec.by_device is not None:
            assert spec.files == spec.by_device
            assert {one.net for one in spec.files} == {spec.net}
            assert {one.licence for one in spec.files} == {spec.licence}
