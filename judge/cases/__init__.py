"""The cases: each plays one situation and says whether its promise was kept."""
