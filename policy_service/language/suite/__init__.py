"""Test files of rule files, `tests/*.yaml`: named facts, and cases with the decision each must come to."""
