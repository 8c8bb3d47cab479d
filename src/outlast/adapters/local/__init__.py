"""Small real models on this machine, without a network once they are pulled: the extra ``local``."""
