"""The nouns of `/v1` besides keys: who there is, what is granted, and who changed what."""
