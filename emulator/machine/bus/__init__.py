"""Who has the bus."""
