"""Decide: who may ask, whether the presented key is right, the decision, and what is noted of it."""
