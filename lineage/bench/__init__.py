"""The four generations on the same pictures under the same stopwatch, beside what was published."""
