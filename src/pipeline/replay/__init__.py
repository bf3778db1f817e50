"""Replay: which experiences sleep trains on, drawn by weight, without replacement, the same on every machine."""

from pipeline.replay.apportionment import apportion
from pipeline.replay.hashing import hash_ids, normals, splitmix64, uniforms
from pipeline.replay.policies import POLICIES, Policy, policy_weights, register_policy
from pipeline.replay.sample import REPLAY_SCHEMA, sample

__all__ = [
    "POLICIES",
    "REPLAY_SCHEMA",
    "Policy",
    "apportion",
    "hash_ids",
    "normals",
    "policy_weights",
    "register_policy",
    "sample",
    "splitmix64",
    "uniforms",
]
