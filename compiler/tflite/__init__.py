"""TensorFlow Lite files → integer `Graph`."""
