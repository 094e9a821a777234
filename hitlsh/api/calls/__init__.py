"""Every call of the API as a pure function that returns an `Operation`: one module for each group."""
