"""A picture without its background: as RGBA pixels for your own program, and as a file.

python examples/cut_out_a_portrait.py portrait.jpg portrait.png
"""

from __future__ import annotations

import sys

import rtmatte


def main(source: str, target: str) -> None:
    rgba = rtmatte.remove_background(source)
    share = (rgba[:, :, 3] > 127).mean()
    print(f"{rgba.shape[1]}x{rgba.shape[0]}, {share:.0%} of it foreground")

    matter = rtmatte.load_matter()  # once, for as many pictures as you like
    report = rtmatte.process_image(source, target, matter=matter, overwrite=True)
    print(f"{target} in {report.seconds:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:3])
