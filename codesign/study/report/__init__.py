"""What a study shows: one page, tables of its points, and a picture of its front."""

from .figure import front_figure
from .write_report import write_report

__all__ = ["front_figure", "write_report"]
