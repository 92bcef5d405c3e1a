"""`policy`: what authors ask of rule files, and which of them decide."""
