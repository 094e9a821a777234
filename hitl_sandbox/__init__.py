"""A local HITL.sh: the vendor's API, its webhook deliveries, a reviewer's page, and faults on demand.

It imports none of the packages it is used to test, so that it can disagree with them.
"""
