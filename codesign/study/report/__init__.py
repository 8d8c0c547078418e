"""What a study shows: one page, and tables of its points."""
