"""`make bench-gateway`: gateways side by side: what a request costs, what a killed and a frozen endpoint do."""
