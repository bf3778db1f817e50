"""Every way in for bytes from outside, tried with bytes that nobody would write: `engram bench fuzz`."""
