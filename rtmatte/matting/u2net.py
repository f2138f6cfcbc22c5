"""U²-Net: what stands out in a single picture.

Reference: Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition
106, 2020.
"""

from __future__ import annotations

from fractions import Fraction

from rtmatte.matting.image_net import ImageNet
from rtmatte.matting.net_spec import HOUSE_OUTPUT, NetSpec, house_input
from rtmatte.matting.session import OnnxSession


class U2Net(ImageNet):
    """The `Matter` over this package's U²-Net-p graph, which runs at any size."""

    def __init__(
        self,
        session: OnnxSession,
        *,
        name: str = "u2netp",
        long_side: int = 320,
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        """`long_side` of the model's picture in pixels, a multiple of 32; `sample_aspect_ratio` of the frames' pixels.

        Raises:
            SettingsError: either of them out of range.
        """
        spec = NetSpec(input=house_input(fit="pad", long_side=long_side), output=HOUSE_OUTPUT)
        super().__init__(session, spec, name=name, sample_aspect_ratio=sample_aspect_ratio)
