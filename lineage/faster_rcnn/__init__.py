"""Faster R-CNN: Ren, He, Girshick, Sun. Towards real-time object detection..., NIPS 2015 (arXiv 1506.01497v3)."""
