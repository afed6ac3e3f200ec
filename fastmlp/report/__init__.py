"""What a training run came to, in pictures and on a page; needs the extra ``report``."""

from fastmlp.report.confusion import draw_confusion
from fastmlp.report.curves import draw_curves
from fastmlp.report.fit import draw_fit
from fastmlp.report.folder import check_folder
from fastmlp.report.mistakes import confident_mistakes, draw_mistakes
from fastmlp.report.phases import draw_phases
from fastmlp.report.style import png
from fastmlp.report.weights import draw_weights
from fastmlp.report.writing import write

__all__ = [
    "check_folder",
    "confident_mistakes",
    "draw_confusion",
    "draw_curves",
    "draw_fit",
    "draw_mistakes",
    "draw_phases",
    "draw_weights",
    "png",
    "write",
]
