"""What the commands have in common: where they print, whom they ask, the options and texts of them all."""
