"""Conditions: emission and interpretation of `language.ir` trees."""
