"""External memory, behind the bus."""
