"""What a training run came to, in pictures and on a page; needs the extra ``report``."""

from fastmlp.report.confusion import draw_confusion
from fastmlp.report.curves import draw_curves
from fastmlp.report.mistakes import confident_mistakes, draw_mistakes
from fastmlp.report.phases import draw_phases
from fastmlp.report.style import png
from fastmlp.report.weights import draw_weights

__all__ = [
    "confident_mistakes",
    "draw_confusion",
    "draw_curves",
    "draw_mistakes",
    "draw_phases",
    "draw_weights",
    "png",
]
