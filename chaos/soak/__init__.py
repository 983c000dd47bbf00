"""Random plans: drawn from a seed, played, judged, and made small when they fail."""
