"""Makes selfie_astronaut_alpha.png and selfie_multiclass_astronaut_alpha.png: LiteRT's own answers, as 16-bit alpha.

python -m tests.golden.make_selfie_astronaut       (needs the extra `models` and the upstream files in models/cache)
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from models import build_selfie, build_selfie_multiclass
from models.pictures import real_pictures
from models.upstream import fetch

FOLDER = Path(__file__).parent


def main() -> None:
    person = real_pictures((256, 144))[0][None]
    upstream = fetch(build_selfie.UPSTREAMS["selfie"])
    alpha = build_selfie.run_upstream(upstream, (person / 255).astype(np.float32))[0, ..., 0]
    cv2.imwrite(str(FOLDER / "selfie_astronaut_alpha.png"), np.round(alpha * 65535).astype(np.uint16))

    person = real_pictures((256, 256))[0][None]
    upstream = fetch(build_selfie_multiclass.UPSTREAM)
    (classes,) = build_selfie_multiclass.upstream_alpha(upstream, person)
    cv2.imwrite(str(FOLDER / "selfie_multiclass_astronaut_alpha.png"), np.round(classes * 65535).astype(np.uint16))


if __name__ == "__main__":
    main()
