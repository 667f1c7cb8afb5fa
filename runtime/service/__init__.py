"""Many sources and questions on one engine, for months: what an integrator expects around it."""
