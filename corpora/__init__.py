"""What is read: assets, sources, tokenised and packed corpora."""
