"""The checks of `hitl-receiver doctor`: each module reads one part of the deployment and returns findings."""
