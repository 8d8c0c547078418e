"""From a torch module to quantized layers: capture the graph, turn its operators into layers, fuse them."""
