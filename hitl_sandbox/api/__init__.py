"""The vendor's API, one module per resource."""
