"""Reconciliation: what the webhooks missed, asked for with as few calls as possible."""
