"""Training: recipes as data, seeded samples, a resumable loop, exported weights with a card."""
