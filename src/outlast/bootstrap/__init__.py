"""Reads the blueprint, picks adapters, assembles a Platform; nothing else knows which adapter runs.

`app` loads the user's code, `home` knows where things lie, `platform` assembles, `pool` makes the pools of models,
`cell` runs all processes of a cell, `child` is what each of those processes does, `gateway` what the gateway is.
"""
