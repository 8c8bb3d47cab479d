"""The pool of model endpoints, simulated: endpoints that fail, clients that ask, rules."""
