"""What runs where the data is: `init`, `demo`, `serve` and its workers, `snapshot`."""
