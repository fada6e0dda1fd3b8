#!/usr/bin/env python3
"""Trains a small neural network on the UCI handwritten digits that scikit-learn ships, and prints one line an epoch.

An ordinary training script: nothing in it knows about Berth. It runs by hand in the same way,
    python3 train.py --epochs 5
and leaves ./outputs/model.joblib and ./outputs/metrics.json.
"""
import argparse
import json
import os
import time

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def batches(count, size, random):
    order = random.permutation(count)
    for start in range(0, count, size):
        yield order[start : start + size]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outputs", default="outputs")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error("--epochs must be at least 1")

    digits = load_digits()
    pixels = digits.data / 16.0
    train_x, test_x, train_y, test_y = train_test_split(
        pixels, digits.target, test_size=0.25, random_state=args.seed, stratify=digits.target
    )
    classes = np.unique(digits.target)
    print(f"digits: {len(train_x)} images to train on, {len(test_x)} to test on, {len(classes)} classes")

    model = MLPClassifier(
        hidden_layer_sizes=(args.hidden,), learning_rate_init=args.learning_rate, random_state=args.seed
    )
    random = np.random.default_rng(args.seed)
    history = []
    for epoch in range(1, args.epochs + 1):
        started = time.monotonic()
        for rows in batches(len(train_x), args.batch_size, random):
            model.partial_fit(train_x[rows], train_y[rows], classes=classes)
        loss = log_loss(train_y, model.predict_proba(train_x), labels=classes)
        accuracy = model.score(train_x, train_y)
        seconds = time.monotonic() - started
        history.append({"epoch": epoch, "loss": loss, "accuracy": accuracy, "seconds": seconds})
        print(f"epoch {epoch}/{args.epochs}: loss {loss:.4f}, train accuracy {accuracy:.4f}, {seconds:.2f} s")

    test_accuracy = model.score(test_x, test_y)
    os.makedirs(args.outputs, exist_ok=True)
    joblib.dump(model, os.path.join(args.outputs, "model.joblib"))
    with open(os.path.join(args.outputs, "metrics.json"), "w", encoding="utf-8") as file:
        json.dump({"test_accuracy": test_accuracy, "epochs": history}, file, indent=2)
    print(f"test accuracy: {test_accuracy:.4f}")


if __name__ == "__main__":
    main()
