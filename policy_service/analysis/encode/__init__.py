"""A whole decision as formulas for Z3: what the engine computes for one request, said of all requests at once.

`world` holds the unknowns, `conditions` turns a condition into a formula for "satisfied" and one for "faults", `chain`
the checks into one guarded ending after the other. tests/property/test_encoding.py holds it against the engine.
"""
