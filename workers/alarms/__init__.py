"""Alarms: conditions that need a person, with a text and a remedy, and the notices that are sent."""
