"""What is allowed in rule files and yet hardly meant: `policy lint`."""
