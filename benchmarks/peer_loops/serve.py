"""Answers pictures with a peer's alpha, for `scoring/peers.py`: PYTHON -m peer_loops.serve PEER

Standard input: height and width as two little-endian uint32, then that many pixels of BGR; again and again. Standard
output: an alpha of float32 for each, height x width. Ends with its input.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import BinaryIO

import numpy as np

from peer_loops.nets import NETS


def main() -> None:
    # Some packages print to standard output: that goes to standard error, and alpha to a descriptor of its own.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    net = NETS[sys.argv[1]]()
    while header := sys.stdin.buffer.read(8):
        height, width = struct.unpack("<II", header)
        picture = np.frombuffer(_read(sys.stdin.buffer, height * width * 3), np.uint8)
        alpha = net.alpha(picture.reshape(height, width, 3))
        answers.write(np.ascontiguousarray(alpha, np.float32).tobytes())
        answers.flush()


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError(f"expected a picture of {size} bytes, got {len(data)}")
    return data


if __name__ == "__main__":
    main()
