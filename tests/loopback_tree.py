"""Trees that look like what Linux shows of v4l2loopback; as seen with 0.12.7 and 0.15.0 in a Debian 12 kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Node:
    """One /dev/videoN; `state` is None before 0.13; an ordinary webcam has no `max_openers`."""

    number: int
    label: str
    state: str | None = "output"
    is_loopback: bool = True


def make_tree(
    root: Path,
    *nodes: Node,
    version: str | None = "0.15.0",
    exclusive_caps: str = "Y,N,N,N,N,N,N,N",
    video_nr: str = "10,11,-1,-1,-1,-1,-1,-1",
    max_buffers: str = "8",
) -> Path:
    """/sys with the module loaded and these nodes; returns `root`."""
    module = root / "module" / "v4l2loopback"
    (module / "parameters").mkdir(parents=True)
    for name, text in (("exclusive_caps", exclusive_caps), ("video_nr", video_nr), ("max_buffers", max_buffers)):
        (module / "parameters" / name).write_text(f"{text}\n")
    if version is not None:
        (module / "version").write_text(f"{version}\n")
    for node in nodes:
        folder = root / "class" / "video4linux" / f"video{node.number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{node.label}\n")
        if node.is_loopback:
            (folder / "max_openers").write_text("10\n")
        if node.state is not None:
            (folder / "state").write_text(f"{node.state}\n")
    return root
