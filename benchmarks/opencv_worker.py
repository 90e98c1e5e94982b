"""OpenCV's selective search in a process of its own, for selective_search.py: needs opencv-contrib and numpy alone.

Reads the path of a picture (H, W, 3) uint8 RGB as .npy a line; writes the seconds and the boxes, in OpenCV's order, to
PATH.boxes.npy, and answers with the seconds.
"""

import sys
import time

import cv2
import numpy as np


def main() -> None:
    for line in sys.stdin:
        image = np.ascontiguousarray(np.load(line.strip())[..., ::-1])
        start = time.perf_counter()
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(image)
        search.switchToSelectiveSearchFast()
        boxes = np.asarray(search.process()).reshape(-1, 4)  # x, y, width, height
        boxes[:, 2:] += boxes[:, :2]
        _, first = np.unique(boxes, axis=0, return_index=True)
        boxes = boxes[np.sort(first)]
        seconds = time.perf_counter() - start
        np.save(line.strip() + ".boxes.npy", boxes)
        print(seconds, cv2.__version__, flush=True)


if __name__ == "__main__":
    main()
