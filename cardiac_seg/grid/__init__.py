"""Cases to the network grid, and exactly back."""
