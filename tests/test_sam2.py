"""SAM 2's form on generated graphs: which points reach the decoder, which mask is taken, what a user meets."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from rtmatte.cli import app
from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import U8
from rtmatte.matting import load, load_for_stills, weights
from rtmatte.matting.matter import Prompted
from rtmatte.matting.registry import ModelSpec, find_model
from rtmatte.matting.sam2 import Sam2
from rtmatte.matting.session import OnnxSession
from rtmatte.runs.stills import remove_background
from tests.frames import at
from tests.nets import image_net, sam2_decoder, sam2_encoder


def matter() -> Sam2:
    return Sam2(*(OnnxSession(graph, device="cpu", threads=1) for graph in (sam2_encoder(), sam2_decoder())))


def two_halves() -> U8:
    """Dark on the left, bright on the right; 160x96."""
    picture = np.full((96, 160, 3), 20, np.uint8)
    picture[:, 80:] = 235
    return picture


def test_the_decoder_hears_of_every_point_and_its_best_mask_is_taken() -> None:
    sam = matter()
    assert isinstance(sam, Prompted)
    for keep, drop, wants_bright in (
        ([(0.9, 0.5)], [], True),  # the graph thinks well of its first mask by how far right one clicked
        ([(0.1, 0.5)], [], False),
        ([(0.9, 0.5)], [(0.8, 0.1)], False),
        ([(0.9, 0.1), (0.8, 0.9)], [], True),
    ):
        sam.prompt(keep, drop)
        alpha = sam.estimate(at(two_halves()))
        assert alpha.shape == (256, 256)
        bright, dark = float(alpha[:, 140:].mean()), float(alpha[:, :116].mean())
        assert (bright > 0.99, dark < 0.01) == (wants_bright, wants_bright)


def test_of_masks_that_are_about_as_good_the_larger_one_is_taken() -> None:
    sam, picture = matter(), two_halves()
    picture[:, 80:120] = 20  # now most of it is dark
    for x, wants_bright in ((0.52, False), (0.54, True)):
        sam.prompt([(x, 0.5)], [])
        alpha = sam.estimate(at(picture))
        assert (float(alpha[:, 200:].mean()) > 0.99) == wants_bright


def test_wholes_are_the_largest_masks_and_the_encoder_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sam, picture, runs = matter(), two_halves(), []
    picture[:, 80:120] = 20  # most of it is dark
    features = Sam2._features
    monkeypatch.setattr(Sam2, "_features", lambda self, frame: runs.append(1) or features(self, frame))
    found = sam.estimate_wholes(at(picture), [([(0.9, 0.5)], []), ([(0.1, 0.5)], [(0.8, 0.5)])])
    assert [float(alpha[:, 200:].mean()) < 0.01 < 0.99 < float(alpha[:, :180].mean()) for alpha in found] == [
        True,
        True,
    ]
    assert len(runs) == 1
    with pytest.raises(SettingsError, match="got none"):
        sam.estimate_wholes(at(picture), [([], [(0.5, 0.5)])])


def test_without_a_point_it_is_told_what_is_missing() -> None:
    for act in (lambda: matter().estimate(at(two_halves())), lambda: matter().prompt([], [(0.5, 0.5)])):
        with pytest.raises(SettingsError, match="expected a point to keep, got none") as caught:
            act()
        assert "--keep" in caught.value.hint


def test_graphs_of_another_form_are_refused() -> None:
    encoder, decoder, other = (
        OnnxSession(graph, device="cpu", threads=1) for graph in (sam2_encoder(), sam2_decoder(), image_net())
    )
    with pytest.raises(SettingsError, match="called 'image'"):
        Sam2(other, decoder)
    with pytest.raises(SettingsError, match="called 'point_coords'"):
        Sam2(encoder, encoder)


def test_masks_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sam = matter()
    sam.prompt([(0.5, 0.5)], [])
    for masks, scores, says in (
        (np.full((1, 3, 8, 8), np.nan, np.float32), np.ones((1, 3)), "finite"),
        (np.zeros((1, 3, 8), np.float32), np.ones((1, 3)), "masks and their scores"),
        (np.zeros((1, 3, 8, 8), np.float32), np.ones((1, 4)), "masks and their scores"),
    ):
        monkeypatch.setattr(Sam2, "_masks", lambda *_, found=(masks, scores): found)
        with pytest.raises(ModelOutputError, match=says):
            sam.estimate(at(two_halves()))


def test_a_still_is_cut_out_by_clicks_in_its_own_pixels() -> None:
    for click, left, right in (("150,40", 0, 255), ("10,40", 255, 0)):
        alpha = remove_background(two_halves(), matter=matter(), keep=[click])[:, :, 3]
        assert alpha.shape == (96, 160)
        assert abs(int(alpha[:, 10:70].mean()) - left) <= 1
        assert abs(int(alpha[:, 90:150].mean()) - right) <= 1


@pytest.fixture
def pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """The registry's row, with both files in the user's folder: generated ones, so that their hashes are others."""
    row = find_model("sam2-tiny")
    assert row.second is not None
    folder = tmp_path / "models"
    folder.mkdir()
    made = []
    for spec, graph in ((row, sam2_encoder()), (row.second, sam2_decoder())):
        (folder / spec.file).write_bytes(graph)
        made.append(
            dataclasses.replace(spec, sha256=hashlib.sha256(graph).hexdigest(), size_bytes=len(graph), second=None)
        )
    generated = dataclasses.replace(made[0], second=made[1])
    monkeypatch.setenv("RTMATTE_MODELS", str(folder))
    monkeypatch.setattr(load_for_stills, "find_model", lambda _name: generated)
    monkeypatch.setattr(load, "find_model", lambda _name: generated)
    return generated


def test_from_the_command_line(pulled: ModelSpec, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), two_halves())
    usual = ["image", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--model", "sam2-tiny", "-y"]
    done = CliRunner().invoke(app, [*usual, "--keep", "150,40", "--keep", "90%,90%"])
    assert done.exit_code == 0, done.output
    alpha = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)[:, :, 3]
    assert (alpha[:, 10:70].max(), alpha[:, 90:].min()) == (0, 255)
    for wrong, says in (([], "expected a point to keep"), (["--keep", "500,2"], "0,0 to 159,95")):
        done = CliRunner().invoke(app, [*usual, *wrong])
        assert isinstance(done.exception, SettingsError)
        assert says in done.exception.message


def test_it_is_not_for_moving_pictures(pulled: ModelSpec) -> None:
    with pytest.raises(SettingsError, match="sam2-tiny cuts out what is clicked in a still"):
        load.load_matter("sam2-tiny", device="cpu")


def test_both_files_are_checked(pulled: ModelSpec, tmp_path: Path) -> None:
    weights.verify(pulled)
    assert pulled.second is not None
    (tmp_path / "models" / pulled.second.file).write_bytes(b"damaged")
    with pytest.raises(weights.WeightsError, match="decoder"):
        weights.verify(pulled)


def test_both_files_are_told_of() -> None:
    row = find_model("sam2-tiny")
    assert row.second is not None
    told = CliRunner().invoke(app, ["models", "info", "sam2-tiny"]).output
    assert row.file in told
    assert row.second.file in told
    assert "sam2-tiny\t151.3 MB\tApache-2.0" in CliRunner().invoke(app, ["models", "list"]).output


def test_other_models_are_loaded_as_ever(tmp_path: Path) -> None:
    assert load_for_stills.load_for_stills("selfie", device="cpu", threads=1).name == "selfie"
    (tmp_path / "own.onnx").write_bytes(image_net())
    (tmp_path / "own.toml").write_text('[input]\nlong_side = 64\n[output]\nlayout = "nchw"\n')
    assert load_for_stills.load_for_stills(tmp_path / "own.onnx", device="cpu", threads=1).name == "own"
    (tmp_path / "own.toml").write_text('family = "prompted"\n')
    with pytest.raises(SettingsError, match="own cuts out what is clicked"):
        load_for_stills.load_for_stills(tmp_path / "own.onnx", device="cpu", threads=1)
