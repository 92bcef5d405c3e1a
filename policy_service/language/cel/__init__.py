"""CEL: parsed and type-checked by Google's own checker, translated into our tree, reported in the author's words."""
