"""Scripts that start `launch.train` on many machines; see CONTRIBUTING.md."""
