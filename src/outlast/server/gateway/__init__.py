"""The gateway: one address in front of many model endpoints, for any client of their protocols."""
