"""Metrics for Prometheus: read from Redis when they are asked for, so that any process shows those of all."""
