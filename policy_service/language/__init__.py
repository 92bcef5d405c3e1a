"""From text to Policy: strict YAML, documents, CEL, diagnostics, digest. Reads no files: it is given their text."""
