"""What an agent is made of: app, run, step, effect, session, signal, and the records they leave."""
