#!/usr/bin/env python3
"""Takes memory, 10 MB at a time, until somebody stops it."""
kept = []
while True:
    kept.append(bytearray(b"x" * 10_000_000))
    if len(kept) % 5 == 0:
        print(f"{len(kept) * 10} MB")
