"""Where two implementations part: the first layer, element and cycle, with all that the element is made of."""

from .divergence import Divergence, ElementDifference, diverge
from .page import page_html, page_markdown, sentence, write_page
from .run import IMPLEMENTATIONS

__all__ = [
    "IMPLEMENTATIONS",
    "Divergence",
    "ElementDifference",
    "diverge",
    "page_html",
    "page_markdown",
    "sentence",
    "write_page",
]
