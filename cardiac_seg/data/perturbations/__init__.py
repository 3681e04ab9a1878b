"""What happens to images elsewhere: each perturbation is a pure function of a case's arrays."""
