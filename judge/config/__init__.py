"""judge.toml: what it may say, and where it says something wrong."""
