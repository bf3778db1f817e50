"""Replay: which experiences sleep trains on, drawn by weight, without replacement, the same on every machine."""

from pipeline.replay.apportionment import apportion
from pipeline.replay.hashing import IDENTITY_HASH, hash_ids, identity_hashes, normals, splitmix64, uniforms
from pipeline.replay.policies import POLICIES, Policy, policy_weights, register_policy
from pipeline.replay.sample import REPLAY_SCHEMA, sample, smallest_keys

__all__ = [
    "IDENTITY_HASH",
    "POLICIES",
    "REPLAY_SCHEMA",
    "Policy",
    "apportion",
    "hash_ids",
    "identity_hashes",
    "normals",
    "policy_weights",
    "register_policy",
    "sample",
    "smallest_keys",
    "splitmix64",
    "uniforms",
]
