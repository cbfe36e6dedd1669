"""What is read: text, questions, puzzles."""
