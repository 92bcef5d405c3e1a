"""Other engines beside ours: `python -m bench.peers`. One small module adapts each; `peer.py` says to what."""
