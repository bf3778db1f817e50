"""How far the night moved the model on text it was not taught: KL and perplexity, domain by domain.

The forward passes belong to `pipeline.language`; here their per-token figures become the report's ``drift``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError


@dataclass(frozen=True)
class TokenDrift:
    """Two models on the same tokens of one domain.

    Attributes:
        domain: ``prose``, ``chat``, …
        kl: KL(base || post) of the next-token distributions at each position, nats, (n,).
        base: Log-probability of the actual next token under the base, nats, (n,).
        post: The same with the adapter, (n,).
    """

    domain: str
    kl: NDArray[np.floating]
    base: NDArray[np.floating]
    post: NDArray[np.floating]


def drift(pairs: Sequence[TokenDrift]) -> dict[str, object]:
    """Reduce per-token figures to ``{kl_base, kl_by_domain, ppl_ratio, ppl_by_domain, tokens}``.

    ``kl_base`` (nats a token) and ``ppl_ratio`` (post over base) are those of the worst domain; parts of one domain are
    joined, each token counting once.

    Raises:
        ModelError: a domain without tokens, arrays of different lengths, or a figure that is not finite.
    """
    if not pairs:
        raise ModelError("drift: no domain was measured; expected at least one with tokens")
    domains: dict[str, list[TokenDrift]] = {}
    for pair in pairs:
        domains.setdefault(pair.domain, []).append(pair)
    kl_by_domain, ppl_by_domain, tokens = {}, {}, 0
    for name, parts in sorted(domains.items()):
        kl, base, post = (_joined(name, field, parts) for field in ("kl", "base", "post"))
        if not len(kl) == len(base) == len(post) > 0:
            raise ModelError(f"drift: domain {name!r} has {len(kl)} KL, {len(base)} base and {len(post)} post values")
        kl_by_domain[name] = max(0.0, float(kl.mean()))  # rounding can leave -1e-9
        ppl_by_domain[name] = float(np.exp(base.mean() - post.mean()))
        tokens += len(kl)
    return {
        "kl_base": max(kl_by_domain.values()),
        "kl_by_domain": kl_by_domain,
        "ppl_ratio": max(ppl_by_domain.values()),
        "ppl_by_domain": ppl_by_domain,
        "tokens": tokens,
    }


def _joined(domain: str, field: str, parts: Sequence[TokenDrift]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.concatenate([np.asarray(getattr(p, field), dtype=np.float64) for p in parts])
    if not np.isfinite(values).all():
        raise ModelError(f"drift: {field} of domain {domain!r} holds a value that is not finite")
    return values
