"""Training classifiers: the loop, what a recipe says, and one network quantized or trained for one arithmetic.

What a recipe says can be read without torch; the modules that train import it.
"""

from .recipe import KINDS, TrainingRecipe

__all__ = ["KINDS", "TrainingRecipe"]
