"""How processes learn of each other."""
