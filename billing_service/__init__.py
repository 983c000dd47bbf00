"""The receiver's half: withdraws money once for each sequence key."""
