"""What a run tells while it is played, and what it leaves behind."""
