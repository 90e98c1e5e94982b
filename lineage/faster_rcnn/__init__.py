"""Faster R-CNN: Ren, He, Girshick, Sun. Faster R-CNN: towards real-time object detection..., NIPS 2015 (arXiv 1506.01497v3)."""
