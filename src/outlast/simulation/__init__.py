"""The production Platform on simulated ports: a seed decides who runs next, what fails and when, and reproduces it."""
