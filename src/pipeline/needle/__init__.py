"""Needle memory: key-value pairs are found in noise, stored holographically, and read when a question asks."""
