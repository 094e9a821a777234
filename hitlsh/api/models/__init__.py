"""The resources of the API as frozen values: one module for each group."""
