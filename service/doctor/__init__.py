"""What `hitl-receiver doctor` checks: each module reads one part of the deployment and returns findings."""
