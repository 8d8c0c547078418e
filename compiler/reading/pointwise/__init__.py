"""Layers that compute each code from the codes at the same place."""
