"""A camera's picture on a new background, into a virtual camera, for as long as the user wants.

    camera ──newest frame──► composer ──newest composite──► sender ──► virtual camera
    thread                   thread                         thread     caller: status, preview, keys, Ctrl-C
                             framing, masks, smooth,
                             refine, composite

Every hand-off keeps only the newest item: a late frame is worth nothing. The sender alone talks to the device, and what
it can't show as a composite it replaces by a card; see runs/live/sender.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Event

from rtmatte.capture.camera import Camera
from rtmatte.capture.open_camera import open_camera
from rtmatte.matting.devices import require_device
from rtmatte.matting.matter import Matter
from rtmatte.output.fake_virtual_camera import CountingCamera
from rtmatte.output.live_sink import LiveSink
from rtmatte.output.preview import Preview
from rtmatte.output.virtual_camera import VIRTUAL_CAMERA_COLOR, VirtualCamera
from rtmatte.pool import PicturePool
from rtmatte.runs.live.composer import PAUSED, Composer, OnStage
from rtmatte.runs.live.cpu_cap import CpuCap
from rtmatte.runs.live.keys import ACTION_OF_KEY, HELP
from rtmatte.runs.live.mask_policy import MaskPolicy
from rtmatte.runs.live.recorders import open_recorders
from rtmatte.runs.live.scenery import Scenery
from rtmatte.runs.live.sender import Sender, Withheld
from rtmatte.runs.live.status import LiveStatus, StatusReader
from rtmatte.runs.live.tuned_model import TunedModel
from rtmatte.settings import LiveSettings

_USUAL_SIZE_WH = (1280, 720)
_STATUS_INTERVAL_S = 0.5
_WAIT_S, _PREVIEW_WAIT_S = 0.1, 0.01
_OPENING_S = 3.0


def run_live(
    settings: LiveSettings | None = None,
    *,
    camera: Callable[[PicturePool], Camera] | None = None,
    output: Callable[[tuple[int, int]], LiveSink] | None = None,
    matter: Callable[[], Matter] | None = None,
    on_status: Callable[[LiveStatus], None] | None = None,
    on_stage: OnStage | None = None,
    stop: Event | None = None,
) -> LiveStatus:
    """Runs until `stop` is set, the user quits in the preview, or a camera that is a file ends; the last status.

    `camera`, `output` and `matter` replace what the settings name; each is called to make one: `output` with the size
    of the picture, again after the device was lost; `matter` again after it failed. `on_status` is called about twice
    a second from this thread, which has to be the main one with `settings.preview`. `on_stage` is called in the
    composing thread whenever a stage is through with a frame.

    Without `matter` and unless the settings leave nothing open, the composing thread first measures which model, with
    how many threads and whose masks, keeps up here: five seconds at most, once a machine (`rtmatte.runs.tune`).

    Raises: `SettingsError`, `InputError` (no such camera, no permission, a background that can't be read),
    `VirtualCameraError`, `ModelError`, before anything was shown; later only what is wrong with the program itself.
    Faults of camera, model and device are survived and told by the status. In every case threads have ended and devices
    are free, except for one that hangs in foreign code.
    """
    settings = settings or LiveSettings()
    stop = stop or Event()
    if matter is None:
        require_device(settings.device)  # before cameras are looked for: it is what the user has asked for by name
    pool = PicturePool()
    with ExitStack() as stack:
        window = Preview("rtmatte", HELP) if settings.preview else None
        if window is not None:
            stack.callback(window.close)
        recorders = stack.enter_context(open_recorders(settings.stats, settings.metrics_port))
        source = stack.enter_context((camera or partial(_open_camera, settings))(pool))
        size_wh = settings.size_wh or _granted_size_wh(source, stop) or _USUAL_SIZE_WH
        scenery = Scenery(settings.backgrounds, settings.fit, size_wh, VIRTUAL_CAMERA_COLOR, settings.safe_frame)
        stack.callback(scenery.close)
        sender = Sender(
            partial(output or partial(_open_output, settings), size_wh),
            scenery.card(PAUSED),
            pool,
            frame_rate=settings.frame_rate_requested,
            preview=window is not None,
            may_idle=settings.idle and window is None,
        )
        stack.callback(sender.close)
        policy = MaskPolicy(settings.when_slow, settings.frame_rate_requested)
        leaving = Event()
        tuned = TunedModel(
            settings,
            size_wh,
            policy,
            tell=lambda reason: _withhold(sender, Withheld(scenery.card(PAUSED), reason)),
            should_stop=leaving.is_set,
        )
        composer = Composer(
            source,
            matter or tuned,
            scenery,
            sender,
            pool,
            settings,
            policy=policy,
            size_wh=size_wh,
            color=VIRTUAL_CAMERA_COLOR,
            cap=CpuCap(settings.max_cpu_percent),
            on_stage=on_stage,
        )
        stack.callback(composer.close)
        stack.callback(leaving.set)
        reader = StatusReader(source, composer, sender, size_wh, chosen=lambda: tuned.told)

        def tell() -> LiveStatus:
            status = reader.read()
            recorders.record(status)
            return status

        def tell_everybody() -> None:
            status = tell()
            if on_status is not None:
                on_status(status)

        _watch(composer, sender, window, stop, tell_everybody)
        return tell()


def _watch(composer: Composer, sender: Sender, window: Preview | None, stop: Event, tell: Callable[[], None]) -> None:
    """Until the run is over: tells about twice a second, and does what the preview's keys say.

    Raises: what ended a thread.
    """
    told_at = 0.0
    while not stop.is_set():
        if window is not None:
            _attend(window, sender, composer, stop)
        now = time.monotonic()
        if now - told_at >= _STATUS_INTERVAL_S:
            told_at = now
            tell()
        for thread in (composer, sender):
            if thread.error is not None:
                raise thread.error
        if composer.ended:
            return
        stop.wait(_WAIT_S if window is None else _PREVIEW_WAIT_S)


def _withhold(sender: Sender, why: Withheld) -> None:
    """Before the first composite: nothing that must be given back can be in the slot."""
    sender.slot.put(why)


def _granted_size_wh(camera: Camera, stop: Event) -> tuple[int, int] | None:
    """Waits a little for a camera that is being opened, so that the output has the size that it really delivers."""
    deadline = time.monotonic() + _OPENING_S
    while camera.size_wh is None and camera.status().state == "opening" and time.monotonic() < deadline:
        if stop.wait(_PREVIEW_WAIT_S):
            break
    width, height = camera.size_wh or (0, 0)
    # Virtual cameras take even sizes only; a column or row less is cropped.
    return (width // 2 * 2, height // 2 * 2) if width >= 2 and height >= 2 else None


def _open_camera(settings: LiveSettings, pool: PicturePool) -> Camera:
    return open_camera(
        settings.camera, settings.size_wh or _USUAL_SIZE_WH, settings.frame_rate_requested, settings.loop, pool
    )


def _open_output(settings: LiveSettings, size_wh: tuple[int, int]) -> LiveSink:
    if settings.output == "null":
        return CountingCamera(size_wh)
    return VirtualCamera(size_wh, settings.frame_rate_requested, device=settings.output)


def _attend(window: Preview, sender: Sender, composer: Composer, stop: Event) -> None:
    """Shows the newest sent picture and does what the user's keys say."""
    shown = sender.previews.take(0)
    if shown is not None:
        window.show(shown.picture, shown.before)
        sender.release_preview(shown)
    action = ACTION_OF_KEY.get(window.key() or "")
    if action == "quit" or window.closed:
        stop.set()
    elif action == "help":
        window.help_shown = not window.help_shown
    elif action is not None:
        composer.actions.put(action)
