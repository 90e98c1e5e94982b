"""SPP-net: He, Zhang, Ren, Sun. Spatial pyramid pooling in deep ... networks, ECCV 2014 (arXiv 1406.4729v4)."""
