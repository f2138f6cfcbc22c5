"""A click model says who was clicked where people touch: scripted masks, people of paint, whole runs, no weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from rtmatte.cli import app
from rtmatte.clicks import Point
from rtmatte.errors import SettingsError, WeightsError
from rtmatte.frame import F32, I420, U8, Frame
from rtmatte.refine.border import Border
from rtmatte.refine.divide import divide
from rtmatte.refine.subject import Subject
from rtmatte.runs import clicked
from rtmatte.runs.offline import process_video
from rtmatte.runs.segments.plan import why_one_job
from rtmatte.settings import VideoSettings
from rtmatte.temporal.steps import Steps
from tests import clips
from tests.decoding import decode
from tests.nets import image_net

SIZE_WH = (320, 192)
RADIUS = 50
FRAMES = 40
_rng = np.random.default_rng(3)
TEXTURES = [cv2.GaussianBlur(_rng.integers(0, 256, (101, 101)).astype(np.float32), (0, 0), 2) for _ in range(2)]
"""Of two people, so that optical flow has something to hold on to."""


def centres(number: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The left one stands still, the right one comes closer, until they overlap by a third, and goes away again."""
    return (90, 110), (184 - round(28 * np.sin(np.pi * number / (FRAMES - 1)) - 20 * (number > FRAMES - 3)), 110)


def disc(centre: tuple[int, int]) -> np.ndarray:
    y, x = np.ogrid[: SIZE_WH[1], : SIZE_WH[0]]
    return np.asarray(np.hypot(x - centre[0], y - centre[1]) <= RADIUS)


def truth(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The left one's visible pixels and those of the right one, who is in front."""
    left, right = (disc(centre) for centre in centres(number))
    return left & ~right, right


def draw(picture: I420, number: int) -> None:
    """Both in light grey with a texture that goes along, in a black room."""
    picture.y[:] = 16
    picture.u[:] = picture.v[:] = 128
    for which, mask, (x, y) in zip((0, 1), truth(number), centres(number), strict=True):
        whole = np.zeros(SIZE_WH[::-1], np.float32)
        low, high = TEXTURES[which].min(), TEXTURES[which].max()
        patch = 130 + 100 * (TEXTURES[which] - low) / (high - low)
        whole[y - RADIUS : y + RADIUS + 1, x - RADIUS : x + RADIUS + 1] = patch
        picture.y[mask] = whole[mask].astype(np.uint8)


class Bright:
    """A `Matter` that takes what is bright for people, at half the frame's size: no texture is seen through."""

    name, provider = "bright", "test"

    def estimate(self, frame: Frame) -> F32:
        assert isinstance(frame.picture, I420)
        return np.ascontiguousarray((frame.picture.y[::2, ::2] > 80).astype(np.float32))

    def reset(self) -> None:
        pass


class Scripted:
    """A `Prompted` that gives the true mask of whoever is at the point to keep, and notes what it was asked."""

    name, provider = "scripted", "test"

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[Point, ...], tuple[Point, ...]]] = []
        self.frames: list[int] = []

    def prompt(self, keep: Sequence[Point], drop: Sequence[Point]) -> None:
        raise AssertionError("each prompt goes with its frame")

    def estimate(self, frame: Frame) -> F32:
        raise AssertionError

    def reset(self) -> None:
        pass

    def estimate_wholes(self, frame: Frame, prompts: Sequence[tuple[Sequence[Point], Sequence[Point]]]) -> list[F32]:
        self.frames.append(frame.index)
        self.asked += [(tuple(keep), tuple(drop)) for keep, drop in prompts]
        return [self._mask(keep) for keep, _ in prompts]

    def _mask(self, points: Sequence[Point]) -> F32:
        found = np.zeros(SIZE_WH[::-1], bool)
        for mask in truth(0):
            if any(mask[int(y * SIZE_WH[1]), int(x * SIZE_WH[0])] for x, y in points):
                found |= mask
        return np.asarray(cv2.resize(found.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    prompted = Scripted()
    monkeypatch.setattr(clicked, "load_for_stills", lambda _name, **_options: prompted)
    return prompted


LEFT, RIGHT = "90,110", "190,110"


def mattes(tmp_path: Path, draw_frame: Callable[[I420, int], None] = draw, **options: Any) -> list[U8]:
    source = clips.plain(tmp_path / "in.mkv", size_wh=SIZE_WH, draw=draw_frame, frame_count=FRAMES)
    options = {"matter": Bright(), "click_model": "sam2-tiny", "smoothing_s": 0, **options}
    process_video(source, tmp_path / "out.mkv", matte=True, overwrite=True, skip_still=False, **options)
    return decode(tmp_path / "out.mkv").luma


def shares(mattes: Sequence[U8], *, flip: bool = False) -> np.ndarray:
    """How much of the left and of the right one stays, frame by frame: (frames, 2)."""
    found = []
    for number, alpha_u8 in enumerate(mattes):
        seen = alpha_u8[:, ::-1] if flip else alpha_u8
        found.append([seen[mask].mean() / 255 for mask in truth(number)])
    return np.array(found)


@pytest.mark.parametrize(
    ("clicks", "left", "right"),
    [
        ({"keep": [LEFT]}, 1, 0),
        ({"keep": [RIGHT]}, 0, 1),
        ({"drop": [LEFT]}, 0, 1),
        ({"drop": [RIGHT]}, 1, 0),
        ({"keep": [RIGHT], "drop": [LEFT]}, 0, 1),
        ({"keep": [LEFT, RIGHT]}, 1, 1),
        ({"drop": [RIGHT], "people": "nearest"}, 1, 0),
        ({"keep": [LEFT], "two_pass": True}, 1, 0),
        ({"keep": [RIGHT], "jobs": 2}, 0, 1),
    ],
    ids=str,
)
def test_two_who_touch_come_closer_and_part_are_told_apart_in_every_frame(
    tmp_path: Path, scripted: Scripted, clicks: dict[str, Any], left: int, right: int
) -> None:
    found = shares(mattes(tmp_path, **clicks))
    assert len(found) == FRAMES
    wrong = np.abs(found - (left, right))
    assert wrong.max() < 0.12, wrong.max(axis=0)
    assert wrong.mean() < 0.03, wrong.mean(axis=0)
    assert scripted.frames == [0], "the model looks at the first frame, once"


def test_without_the_model_the_same_click_takes_both_or_half(tmp_path: Path) -> None:
    found = shares(mattes(tmp_path, keep=["60,110"], drop=["130,110"], click_model=None))
    assert found[0, 0] < 0.8, "what is nearer to one of the clicks isn't whose it is"


def test_in_a_mirror_it_is_the_same(tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    def mirrored(picture: I420, number: int) -> None:
        draw(picture, number)
        picture.y[:] = picture.y[:, ::-1].copy()

    ask = scripted._mask
    monkeypatch.setattr(
        scripted, "_mask", lambda points: np.ascontiguousarray(ask([(1 - x, y) for x, y in points])[:, ::-1])
    )
    found = shares(mattes(tmp_path, mirrored, keep=["129,110"]), flip=True)
    assert np.abs(found - (0, 1)).max() < 0.12


def test_what_it_is_asked(tmp_path: Path, scripted: Scripted) -> None:
    mattes(tmp_path, keep=["25%,50%", "60%,50%"], drop=["25%,60%"])
    kept, dropped = ((0.25, 0.5), (0.6, 0.5)), ((0.25, 0.6),)
    assert scripted.asked == [(kept[:1], dropped), (kept[1:], dropped), (kept, dropped), (dropped, kept)]


def test_in_another_shot_the_largest_stays_as_after_any_click(tmp_path: Path, scripted: Scripted) -> None:
    def with_cut(picture: I420, number: int) -> None:
        draw(picture, 0)
        if number >= 20:
            picture.y[:] = 16
            picture.y[::7] = 60  # another room
            picture.y[:, ::9] = 45
            cv2.circle(picture.y, (250, 90), 55, 200, -1)
            cv2.circle(picture.y, (60, 60), 25, 200, -1)

    found = mattes(tmp_path, with_cut, keep=[LEFT])
    for number, alpha_u8 in enumerate(found):
        spots = [int(alpha_u8[y, x]) for x, y in ((90, 110), (200, 110))]
        if number < 20:
            assert (spots[0] > 230, spots[1] < 25) == (True, True), number
        else:
            assert (alpha_u8[90, 270] > 230, alpha_u8[60, 60] < 25) == (True, True), number


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "--click-model: expected --keep or --drop as well"),
        ({"keep": [LEFT], "click_model": "selfie"}, "--click-model: expected sam2-tiny, got 'selfie'"),
        ({"keep": ["5,5"]}, "got background"),
        ({"keep": ["400,5"]}, "0,0 to 319,191"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], says: str
) -> None:
    if options.get("click_model") is None:
        monkeypatch.setattr(clicked, "load_for_stills", lambda _name, **_options: Scripted())
    with pytest.raises(SettingsError, match=says):
        mattes(tmp_path, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_a_model_that_is_not_there_is_told_how_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTMATTE_MODELS", str(tmp_path / "empty"))
    with pytest.raises(WeightsError) as caught:
        mattes(tmp_path, keep=[LEFT])
    assert "rtmatte models pull sam2-tiny" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_jobs_and_two_who_touch_go_one_after_the_other() -> None:
    settings = VideoSettings(keep=(LEFT,), click_model="sam2-tiny", jobs=2)
    assert "first frame" in str(why_one_job(settings, None))


def test_from_the_command_line(tmp_path: Path, scripted: Scripted) -> None:
    (tmp_path / "net.onnx").write_bytes(image_net())
    (tmp_path / "net.toml").write_text('[input]\nlong_side = 160\n[output]\nlayout = "nchw"\n')
    source = clips.plain(tmp_path / "in.mkv", size_wh=SIZE_WH, draw=draw, frame_count=6)
    usual = ["video", str(source), "-o", str(tmp_path / "out.mkv"), "--matte", "-y", "--model"]
    usual += [str(tmp_path / "net.onnx"), "--click-model", "sam2-tiny"]
    done = CliRunner().invoke(app, [*usual, "--keep", RIGHT])
    assert done.exit_code == 0, done.output
    for number, alpha_u8 in enumerate(decode(tmp_path / "out.mkv").luma):
        left, right = (alpha_u8[mask].mean() / 255 for mask in truth(number))
        assert (left < 0.1, right > 0.5) == (True, True)  # the net takes the texture for half-transparent
    done = CliRunner().invoke(app, usual)
    assert isinstance(done.exception, SettingsError)
    assert "--keep or --drop" in done.exception.message


def test_small_parts_that_the_mask_lacks_go_with_who_is_near() -> None:
    labels = np.zeros((60, 100), np.int32)
    labels[20:60, 10:90] = 1
    labels[10:20, 20:26] = 1  # a finger above the left one
    kept = np.zeros((60, 100), np.float32)
    kept[22:60, 12:50] = 1
    found = divide(labels, kept, None)
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found[labels == 1][:, None] > 0).all()
    assert (found[10:20, 20:26] == 1).all()
    assert (found[20:60, 10:49] == 1).all()
    assert (found[20:60, 51:90] == 2).all()
    swapped = divide(labels, None, kept)
    assert (swapped[20:60, 10:46] == 2).all()
    assert (swapped[20:60, 53:90] == 1).all()
    whole = np.ones((60, 100), np.float32)
    assert np.array_equal(divide(labels, whole, None), labels)


def test_a_hand_apart_from_the_body_is_kept_or_dropped_with_it() -> None:
    alpha = np.zeros((60, 100), np.float32)
    alpha[30:, 10:90] = 1
    hand = np.s_[5:15, 5:15]
    alpha[hand] = 1
    alpha[5:15, 80:90] = 1  # the other one's
    mask = np.zeros_like(alpha)
    mask[30:, 8:50] = mask[hand] = 1
    cases: tuple[tuple[dict[str, Any], int], ...] = (
        ({"keep": [(0.25, 0.8)], "kept": mask}, 1),
        ({"drop": [(0.25, 0.8)], "dropped": mask}, 0),
    )
    for given, mine in cases:
        found = alpha.copy()
        Subject(**given).select(found, 0.0)
        assert (found[hand] == mine).all()
        assert (found[30:, 12:48] == mine).all()
        assert (found[30:, 53:90] == 1 - mine).all()
        assert (found[5:15, 80:90] == 1 - mine).all()


def test_a_raised_arm_belongs_to_whom_it_touches_even_over_the_other() -> None:
    subject = Subject(keep=[(0.25, 0.8)], kept=np.pad(np.ones((60, 50), np.float32), ((0, 0), (0, 50))))
    for number in range(12):
        alpha = np.zeros((60, 100), np.float32)
        alpha[30:, 10:90] = 1
        alpha[26 - number : 30, 60:64] = 1  # the right one's arm goes up, and then to the left above the left one
        alpha[26 - number : 30 - number, 60 - 4 * number : 64] = 1
        subject.select(alpha, number / 25)
        assert (alpha[30:, 12:48] == 1).all(), number
        assert (alpha[:28] == 0).all(), number
        assert (alpha[30:, 53:] == 0).all(), number


def test_the_line_moves_by_less_than_a_pixel_at_a_time() -> None:
    border, everything = Border(), np.ones((20, 60), bool)
    wanted = np.zeros_like(everything)
    wanted[:, :20] = True
    unwanted = ~wanted

    def carry(field: F32) -> F32:
        shift = np.float32([[1, 0, 0.3], [0, 1, 0]])
        return np.asarray(cv2.warpAffine(field, shift, (60, 20), borderMode=cv2.BORDER_REPLICATE))

    for _ in range(30):
        wanted, unwanted = border.divide(everything, everything, wanted, unwanted, carry)
    assert abs(int(wanted[10].sum()) - 29) <= 1
    assert not (wanted & unwanted).any()


def test_steps_carry_from_each_frame_to_the_next() -> None:
    scene = cv2.GaussianBlur(_rng.integers(0, 256, (140, 300)).astype(np.float32), (0, 0), 2)
    scene = ((scene - scene.min()) / np.ptp(scene) * 255).astype(np.uint8)
    ramp = np.tile(np.arange(128, dtype=np.float32), (70, 1))
    steps = Steps()
    assert np.array_equal(steps.carry(ramp), ramp)
    for number in range(3):
        steps.show(scene[:, 20 - 4 * number : 276 - 4 * number])  # everything moves by 4 pixels of it, 2 of the ramp
        carried = steps.carry(ramp)
        wanted = ramp - (2 if number else 0)
        assert np.abs(carried - wanted)[20:-20, 20:-20].mean() < 0.3
    steps.reset()
    steps.show(scene[:, :256])
    assert np.array_equal(steps.carry(ramp), ramp)
    steps.show(scene[:100, :256])
    assert np.array_equal(steps.carry(ramp), ramp), "of another size"
