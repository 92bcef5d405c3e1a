"""What auditors do: look decisions up, verify, prove, replay, foresee."""
