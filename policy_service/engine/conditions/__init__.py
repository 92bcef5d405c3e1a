"""Conditions at run time: emitted as readable Python for decisions, interpreted step by step for explanations."""
