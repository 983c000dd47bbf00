"""What every service is built from: one package for each nameable thing. It knows no service."""
