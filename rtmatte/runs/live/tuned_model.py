"""The model of a live run, chosen on this machine when it is loaded for the first time."""

from __future__ import annotations

from collections.abc import Callable

from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.runs.live.mask_policy import MaskPolicy
from rtmatte.runs.tune.candidates import Candidate
from rtmatte.runs.tune.tuner import Tuning, tune
from rtmatte.runs.tune.words import when
from rtmatte.settings import LiveSettings

MEASURING = "measuring once what this machine can do"


class TunedModel:
    """Loads the tuner's choice; called by the composing thread, again after the model failed.

    A card is shown meanwhile; `tell` takes the reason why. `told` is the decision in words, with notices; "" before.
    """

    def __init__(
        self,
        settings: LiveSettings,
        size_wh: tuple[int, int],
        policy: MaskPolicy,
        *,
        tell: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.told = ""
        self._settings = settings
        self._size_wh = size_wh
        self._policy = policy
        self._tell = tell
        self._should_stop = should_stop
        self._taken: Candidate | None = None

    def __call__(self) -> Matter:
        """Raises: as `tune` and `load_matter`."""
        if self._taken is None:
            tuning = tune(
                self._settings,
                self._size_wh,
                should_stop=self._should_stop,
                before_measuring=lambda: self._tell(MEASURING),
            )
            self._taken = tuning.taken
            self._policy.begin(carries=self._taken.carried)
            self.told = _told(tuning)
        return load_matter(
            self._taken.model,
            model_spec=self._settings.model_spec,
            device=self._settings.device,
            threads=self._taken.threads,
            focus=self._settings.focus,
            skip_still=self._settings.skip_still,
        )


def _told(tuning: Tuning) -> str:
    if len(tuning.rows) == 1:
        return ""
    return " ".join((f"{tuning.summary} ({when(tuning.kept, tuning.seconds)}).", *tuning.notices))
