"""``python docs/demo_picture.py [PATH]`` draws docs/pictures/demo.png: the demo in Chromium.

Needs the extra ``test``, MNIST and a quiet machine: the picture says how long the training took.
"""

import io
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.browser import opened_page

THREE = [(80, 80), (110, 50), (160, 50), (190, 90), (175, 118), (125, 140), (165, 150)]
THREE += [(195, 180), (180, 220), (130, 235), (85, 215)]
SIZE = {"width": 1100, "height": 990}


def main(path: Path) -> None:
    """Draw a digit on the page, and keep the picture of that."""
    command = [sys.executable, "-m", "fastmlp.demo", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = next(filter(None, (re.search(r"http://\S+", line) for line in process.stderr)))
        with opened_page() as (page, _):
            page.set_viewport_size(SIZE)
            page.goto(address[0])
            page.locator("#mistakes").wait_for()
            box = page.locator("#pad").bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + THREE[0][0], box["y"] + THREE[0][1])
            page.mouse.down()
            for x, y in THREE:
                page.mouse.move(box["x"] + x, box["y"] + y, steps=5)
            page.mouse.up()
            page.wait_for_timeout(1000)
            picture = Image.open(io.BytesIO(page.screenshot()))
    finally:
        process.terminate()
    # A palette takes a third of the bytes.
    picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


if __name__ == "__main__":
    main(
        Path(
            sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("pictures") / "demo.png"
        )
    )
