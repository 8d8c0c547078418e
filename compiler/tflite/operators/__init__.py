"""One file for each operator of TFLite, or family of them."""
