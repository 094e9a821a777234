"""Proofs of `hitl-receiver doctor --prove`: test deliveries that show whether a URL leads to this receiver."""
