"""The fixture of a run and the context of one scenario."""
