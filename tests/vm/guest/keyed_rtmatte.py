"""The `rtmatte` command with one more model, "key", from the file that RTMATTE_VM_KEY_MODEL names.

python -m tests.vm.guest.keyed_rtmatte webcam --model key ...
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from rtmatte.cli import main
from rtmatte.matting import registry


def add_key_model() -> None:
    path = Path(os.environ["RTMATTE_VM_KEY_MODEL"])
    content = path.read_bytes()
    row = registry.ModelSpec(
        name="key", family="u2net", file=str(path), sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content), licence="", source="", task="", input="", output="", notes="",
    )  # fmt: skip
    registry.MODELS = (*registry.MODELS, row)


if __name__ == "__main__":
    add_key_model()
    main()
