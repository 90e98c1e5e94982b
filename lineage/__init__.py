"""lineage: R-CNN, SPP-net, Fast R-CNN and Faster R-CNN, one stage interface, one stopwatch."""

__version__ = "0.1.0"
