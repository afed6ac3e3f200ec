"""`Page`: HTML that needs no other file, no network and no script."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from fastmlp.report.style import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENERATOR = '<meta name="generator" content="fastmlp.report">'
"""By which a page of this package is known."""

STYLE = """
body { margin: 0 auto; padding: 1rem; max-width: 44rem; font: 1rem/1.5 system-ui, sans-serif;
  color: #1a1a1a; background: #fff; }
h1, pre, td { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 0.5rem; border-bottom: 1px solid #ccc; }
figure { margin: 1rem 0; break-inside: avoid; }
img { display: block; max-width: 100%; height: auto; }
figcaption, caption { font-size: 0.875rem; color: #555; text-align: left; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 1rem 0.2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e5e5e5; }
th { font-weight: 600; }
td.number, th.number { text-align: right; padding: 0.2rem 0.35rem; overflow-wrap: normal;
  font-size: 0.9rem; }
code, pre { font: 0.875rem/1.5 ui-monospace, monospace; }
pre { padding: 0.6rem; background: #f4f4f4; white-space: pre-wrap; }
.note { padding: 0.6rem; border-left: 4px solid #d55e00; background: #fff6f0; }
"""


class Page:
    """A page that is written from top to bottom; what it is given is escaped.

    Parameters
    ----------
    title : str

    Attributes
    ----------
    pictures : dict of str to bytes
        PNG files by name, which are in the page too.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.pictures: dict[str, bytes] = {}
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str, kind: str = "") -> None:
        """A paragraph; ``kind`` "note" is to be seen first."""
        mark = f' class="{kind}"' if kind else ""
        self._parts.append(f"<p{mark}>{escape(text)}</p>")

    def command(self, text: str) -> None:
        """What can be typed into a terminal."""
        self._parts.append(f"<pre><code>{escape(text)}</code></pre>")

    def picture(self, name: str, figure: Figure, alt: str, caption: str) -> None:
        """A picture, which is ``name`` in `pictures` too."""
        content = self.pictures[name] = png(figure)
        width, height = struct.unpack(">II", content[16:24])  # PNG's first chunk
        data = base64.b64encode(content).decode("ascii")
        self._parts.append(
            f'<figure><img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
            f'alt="{escape(alt)}"><figcaption>{escape(caption)}</figcaption></figure>'
        )

    def rows(self, rows: Iterable[tuple[str, object]]) -> None:
        """A table of names and values."""
        lines = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
            for name, value in rows
        )
        self._parts.append(f"<table>{lines}</table>")

    def numbers(self, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table of numbers below a head."""
        names = "".join(f'<th scope="col" class="number">{escape(name)}</th>' for name in head)
        cells = ("".join(f'<td class="number">{escape(cell)}</td>' for cell in row) for row in rows)
        lines = "".join(f"<tr>{line}</tr>" for line in cells)
        self._parts.append(
            f"<table><caption>{escape(caption)}</caption><thead><tr>{names}</tr></thead>"
            f"<tbody>{lines}</tbody></table>"
        )

    def html(self) -> str:
        """All of it."""
        title = escape(self.title)
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{GENERATOR}\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            # Without an icon of its own a browser asks the server for one.
            '<link rel="icon" href="data:,">\n'
            f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            f"<h1>{title}</h1>\n" + "\n".join(self._parts) + "\n</main>\n</body>\n</html>\n"
        )
