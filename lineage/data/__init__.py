"""VOC layout is the on-disk format; every dataset is read by the same loader."""
