"""The resources of the API as frozen values, one module per resource group."""
