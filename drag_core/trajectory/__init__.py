"""A picture's way through the model's noise levels: schedules, solvers, inversion, background, K/V."""
