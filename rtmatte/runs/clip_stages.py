"""A frame's way after it is decoded: estimate ──► smooth ──► refine ──► composite ──► encode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtmatte.composite.compositor import Compositor
from rtmatte.frame import U8, Frame, picture_size_wh
from rtmatte.output.sink import Sink
from rtmatte.pool import PicturePool
from rtmatte.runs.estimate_stage import estimate_stage
from rtmatte.runs.matting_chain import Matted, MattingChain
from rtmatte.runs.pipeline import Stage


@dataclass(frozen=True, slots=True)
class _Refined:
    """A frame as it was matted, with its alpha at frame size, (H, W) uint8 of the pool."""

    matted: Matted
    alpha_u8: U8


def clip_stages(
    chain: MattingChain,
    compositor: Compositor,
    sink: Sink,
    pool: PicturePool,
    on_encoded: Callable[[Frame], None] | None = None,
) -> list[Stage]:
    """All that happens to a decoded frame whose picture is the pool's, as the chain's is, for `run_pipeline`.

    `on_encoded` is called in the encoding thread with every frame that the sink has; its picture is the pool's again.
    """

    def refine(matted: Matted) -> _Refined:
        alpha_u8 = matted.alpha_u8
        if alpha_u8 is None:
            alpha_u8 = pool.acquire_alpha(picture_size_wh(matted.frame.picture))
        return _Refined(matted, chain.refine(matted, alpha_u8))

    def composite(refined: _Refined) -> _Refined:
        chain.clear_edges(refined.matted, refined.alpha_u8)
        compositor.composite(refined.matted.frame, refined.alpha_u8)
        return refined

    def encode(refined: _Refined) -> None:
        frame = refined.matted.frame
        sink.send(frame, refined.alpha_u8)
        pool.release(frame.picture)
        pool.release_alpha(refined.alpha_u8)
        if on_encoded is not None:
            on_encoded(frame)

    return [
        estimate_stage(chain),
        Stage("smooth", chain.smooth),
        Stage("refine", refine),
        Stage("composite", composite),
        Stage("encode", encode),
    ]
