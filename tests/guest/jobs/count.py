#!/usr/bin/env python3
"""Counts slowly, one line a number, and exits with a code of its own: what a restart or a logout must not disturb."""
import sys
import time

last, code = int(sys.argv[1]), int(sys.argv[2])
for number in range(1, last + 1):
    print(f"line {number}")
    time.sleep(0.25)
sys.exit(code)
