"""Bad input of every kind, one module per kind of file."""
