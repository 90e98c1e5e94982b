"""Fast R-CNN: Girshick. Fast R-CNN, ICCV 2015 (arXiv 1504.08083v2)."""
