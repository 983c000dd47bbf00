"""The compose stack under chaos: the containers as people deploy them, from outside and through the published ports."""
