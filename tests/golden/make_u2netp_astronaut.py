"""Makes u2netp_astronaut_alpha.png: what the *upstream* graph says of scikit-image's astronaut at 320x320.

    python tests/golden/make_u2netp_astronaut.py        # in the repository's root; fetches upstream as the build does

The PNG is 16-bit grey, alpha times 65535. Run through the plain graph with upstream's own normalisation.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from models import build_u2netp

upstream = build_u2netp.fetch_upstream(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
rgb = cv2.resize(data.astronaut(), (320, 320), interpolation=cv2.INTER_AREA) / 255.0
normalised = (rgb - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
session = onnxruntime.InferenceSession(upstream, providers=["CPUExecutionProvider"])
(alpha,) = session.run(["1959"], {"input.1": normalised.transpose(2, 0, 1)[None].astype(np.float32)})
target = Path(__file__).with_name("u2netp_astronaut_alpha.png")
cv2.imwrite(str(target), np.rint(alpha[0, 0] * 65535).astype(np.uint16))
