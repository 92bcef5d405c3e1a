"""`policy test`: the tests of rule files, what they cover, and what would close the gaps."""
