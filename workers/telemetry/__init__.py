"""What processes tell of their work: fields of log lines, and metrics."""
