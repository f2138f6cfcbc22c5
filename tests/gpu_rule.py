"""What becomes of a test that needs an NVIDIA GPU where there is none: skipped, or failed where one is required."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import pytest

VARIABLE = "RTMATTE_REQUIRE_GPU"


def no_gpu(reason: str, environment: Mapping[str, str]) -> NoReturn:
    """Ends the test: a skip with the reason, a failure where `RTMATTE_REQUIRE_GPU` is 1."""
    if environment.get(VARIABLE) == "1":
        pytest.fail(f"{VARIABLE} is 1 and there is no GPU to test on: {reason}", pytrace=False)
    pytest.skip(f"no GPU to test on: {reason}")
