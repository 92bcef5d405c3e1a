"""The command `policy-service`: what an operator, an author or a newcomer types.

Nouns (`users`, `keys`, …) are thin clients of `/v1`. `init`, `serve`, `decide` and `policy` call the services directly.
Exit codes: 0 yes, 1 the answer is no, 2 usage or environment.
"""
