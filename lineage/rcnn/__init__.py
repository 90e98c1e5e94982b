"""R-CNN: Girshick, Donahue, Darrell, Malik. Rich feature hierarchies..., CVPR 2014 (arXiv 1311.2524v5)."""
