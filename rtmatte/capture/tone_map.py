"""High dynamic range pictures brought to ordinary BT.709: what the light of a scene becomes on a common screen.

The mapping from a BT.2020 signal (PQ or HLG) to a BT.709 one is worked out here once, on a lattice of colours;
libavfilter interpolates it for every pixel (`lut3d`, tetrahedral: greys stay exactly grey).
"""

from __future__ import annotations

import struct
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtmatte.capture.side_data import side_data
from rtmatte.frame import ColorTags

if TYPE_CHECKING:
    import av

F64: TypeAlias = NDArray[np.float64]
Transfer: TypeAlias = Literal["PQ", "HLG"]

TRANSFER_OF_CODE: dict[int, Transfer] = {16: "PQ", 18: "HLG"}
"""H.273 transfer codes of the two HDR signals."""
TONE_MAPPED = ColorTags(matrix_code=1, primaries_code=1, transfer_code=1, full_range=False, range_tagged=True)

SDR_WHITE_NITS = 203.0
"""Diffuse white of HDR programmes; becomes the brightest an SDR picture is mapped to. Reference: ITU-R BT.2408."""
USUAL_PEAK_NITS = 1000.0
"""Brightest light of a clip that doesn't say its own; also the nominal peak of HLG."""

_LATTICE = 65
_DISPLAY_GAMMA = 2.4
_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593])
_LUMINANCE_709 = np.array([0.2126, 0.7152, 0.0722])
# Linear light, BT.2020 to BT.709 primaries (ITU-R BT.2087, inverted).
_BT2020_TO_709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ]
)
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 32
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073


def pq_to_nits(signal: F64) -> F64:
    """Light in cd/m² of a PQ signal in [0, 1]. Reference: SMPTE ST 2084."""
    root = np.maximum(signal, 0.0) ** (1 / _PQ_M2)
    light = np.maximum(root - _PQ_C1, 0.0) / (_PQ_C2 - _PQ_C3 * root)
    return np.asarray(10000.0 * light ** (1 / _PQ_M1), np.float64)


def nits_to_pq(nits: F64) -> F64:
    """PQ signal in [0, 1] of light in cd/m². Reference: SMPTE ST 2084."""
    root = (np.maximum(nits, 0.0) / 10000.0) ** _PQ_M1
    return np.asarray(((_PQ_C1 + _PQ_C2 * root) / (1 + _PQ_C3 * root)) ** _PQ_M2, np.float64)


def hlg_to_nits(signal: F64) -> F64:
    """Light in cd/m² that a 1000-nit display makes of (..., 3) HLG signals in [0, 1]. Reference: ITU-R BT.2100."""
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12)
    luminance = scene @ _LUMINANCE_2020
    return np.asarray(USUAL_PEAK_NITS * scene * luminance[..., None] ** 0.2, np.float64)


def compress_nits(nits: F64, peak_nits: float) -> F64:
    """Light up to `peak_nits` rolled off smoothly to `SDR_WHITE_NITS`; dark tones unchanged.

    Reference: ITU-R BT.2390, 5.4.1 (EETF: a Hermite spline in PQ space), black level 0.
    """
    if peak_nits <= SDR_WHITE_NITS:
        return np.minimum(nits, SDR_WHITE_NITS)
    peak = float(nits_to_pq(np.array(peak_nits)))
    white = float(nits_to_pq(np.array(SDR_WHITE_NITS))) / peak
    knee = 1.5 * white - 0.5
    signal = np.minimum(nits_to_pq(nits) / peak, 1.0)
    t = np.maximum(signal - knee, 0.0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return pq_to_nits(np.where(signal < knee, signal, spline) * peak)


def sdr_signal(signal: F64, transfer: Transfer, peak_nits: float = USUAL_PEAK_NITS) -> F64:
    """(..., 3) BT.709 R'G'B' signals in [0, 1] for BT.2020 ones in PQ or HLG.

    The strongest of a colour's three lights follows `compress_nits` and takes the others along, so that hue is kept; a
    colour out of gamut is mixed with the grey of its luminance just far enough. The result is for a display of gamma
    2.4 (ITU-R BT.1886).
    """
    nits = pq_to_nits(signal) if transfer == "PQ" else hlg_to_nits(signal)
    strongest = nits.max(axis=-1, keepdims=True)
    shown = compress_nits(strongest, peak_nits) / SDR_WHITE_NITS
    linear = (nits * (shown / np.maximum(strongest, 1e-9))) @ _BT2020_TO_709.T
    grey = np.clip((linear @ _LUMINANCE_709)[..., None], 0.0, 1.0)
    away = linear - grey
    room = np.where(away > 0, 1 - grey, grey)
    share = np.min(np.where(np.abs(away) > room, room / np.maximum(np.abs(away), 1e-12), 1.0), axis=-1, keepdims=True)
    return np.asarray(np.clip(grey + share * away, 0.0, 1.0) ** (1 / _DISPLAY_GAMMA), np.float64)


def peak_of(frame: av.VideoFrame) -> float | None:
    """The brightest light in cd/m² that a frame's metadata promises: MaxCLL or the mastering display; None: unsaid."""
    peaks: list[float] = []
    if content_light := side_data(frame, "CONTENT_LIGHT_LEVEL"):
        peaks.append(float(struct.unpack_from("=I", content_light)[0]))
    if mastering := side_data(frame, "MASTERING_DISPLAY_METADATA"):
        # AVMasteringDisplayMetadata: 8 chromaticities and 2 luminances (min, max) as int32 pairs, 2 flags.
        numerator, denominator, _, has_luminance = struct.unpack_from("=iiii", mastering, 72)
        if has_luminance and denominator:
            peaks.append(numerator / denominator)
    return min((peak for peak in peaks if peak > 0), default=None)


class ToneMapper:
    """Turns HDR frames of any pixel format into 8-bit 4:2:0 BT.709 limited range frames of `size_wh`.

    Allocates each frame; releases the GIL while it works; for one thread.
    """

    def __init__(self, transfer: Transfer, peak_nits: float | None, size_wh: tuple[int, int]) -> None:
        self.peak_nits = peak_nits if transfer == "PQ" and peak_nits is not None else USUAL_PEAK_NITS
        self._transfer: Transfer = transfer
        self._size_wh = size_wh
        self._graph: av.filter.Graph | None = None
        self._graph_input: tuple[str, int, int, bool] | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        wanted = (frame.format.name, frame.width, frame.height, frame.color_range == 2)
        if self._graph is None or wanted != self._graph_input:
            self._graph, self._graph_input = self._build(*wanted), wanted
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _build(self, pixel_format: str, width: int, height: int, full_range: bool) -> av.filter.Graph:
        import av

        graph = av.filter.Graph()
        size = f"{self._size_wh[0]}:{self._size_wh[1]}"
        span = "full" if full_range else "limited"
        source = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(pixel_format), time_base=Fraction(1, 1000)
        )
        with tempfile.TemporaryDirectory(prefix="rtmatte-") as folder:
            table = Path(folder) / "tone.cube"
            write_cube(table, self._transfer, self.peak_nits)
            graph.link_nodes(
                source,
                graph.add("scale", f"{size}:in_color_matrix=bt2020:in_range={span}:flags=bicubic+accurate_rnd"),
                graph.add("format", "gbrp16le"),
                graph.add("lut3d", file=str(table), interp="tetrahedral"),
                graph.add("scale", "out_color_matrix=bt709:out_range=limited:flags=bicubic+accurate_rnd"),
                graph.add("format", "yuv420p"),
                graph.add("buffersink"),
            ).configure()
        return graph


def write_cube(path: Path, transfer: Transfer, peak_nits: float) -> None:
    """Writes `sdr_signal` on a lattice of 65³ colours as a .cube table (red fastest), four decimals each."""
    axis = np.linspace(0.0, 1.0, _LATTICE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    table = sdr_signal(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer, peak_nits)
    words = np.array([f"{number / 10000:.4f} " for number in range(10001)], "S7")
    # Gathering ready-made words of equal length is ten times as fast as formatting 824 000 numbers.
    text = words[np.rint(table * 10000).astype(np.intp)].view("S1").reshape(-1, 21)
    text[:, -1] = b"\n"
    path.write_bytes(f"LUT_3D_SIZE {_LATTICE}\n".encode() + text.tobytes())
