"""Rule files: read from folders, published as bundles, activated, watched, tried out."""
