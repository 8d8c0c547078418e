"""What a file says about itself in its metadata."""
