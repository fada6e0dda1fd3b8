#!/usr/bin/env python3
"""Trains a small convolutional network with PyTorch on the UCI handwritten digits, and prints one line an epoch.

On a machine with a GPU that the job was given, it trains there. Leaves ./outputs/model.pt and ./outputs/metrics.json.
"""
import argparse
import json
import os
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


def network(classes):
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outputs", default="outputs")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error("--epochs must be at least 1")

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0
    labels = torch.tensor(digits.target, dtype=torch.int64)
    train, test = train_test_split(
        torch.arange(len(labels)), test_size=0.25, random_state=args.seed, stratify=digits.target
    )
    train_x, train_y = images[train].to(device), labels[train].to(device)
    test_x, test_y = images[test].to(device), labels[test].to(device)

    model = network(len(digits.target_names)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.learning_rate)
    loss_of = nn.CrossEntropyLoss()
    history = []
    for epoch in range(1, args.epochs + 1):
        started = time.monotonic()
        model.train()
        total, right = 0.0, 0
        for rows in torch.randperm(len(train_y)).to(device).split(args.batch_size):
            scores = model(train_x[rows])
            loss = loss_of(scores, train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
            right += (scores.argmax(1) == train_y[rows]).sum().item()
        mean_loss, accuracy = total / len(train_y), right / len(train_y)
        seconds = time.monotonic() - started
        history.append({"epoch": epoch, "loss": mean_loss, "accuracy": accuracy, "seconds": seconds})
        print(f"epoch {epoch}/{args.epochs}: loss {mean_loss:.4f}, train accuracy {accuracy:.4f}, {seconds:.2f} s")

    model.eval()
    with torch.no_grad():
        test_accuracy = (model(test_x).argmax(1) == test_y).float().mean().item()
    os.makedirs(args.outputs, exist_ok=True)
    torch.save(model.state_dict(), os.path.join(args.outputs, "model.pt"))
    with open(os.path.join(args.outputs, "metrics.json"), "w", encoding="utf-8") as file:
        json.dump({"test_accuracy": test_accuracy, "epochs": history}, file, indent=2)
    print(f"test accuracy: {test_accuracy:.4f}")


if __name__ == "__main__":
    main()
