"""Entry points: prepare, train, evaluate, sweep, plot, demo."""
