"""What a language model is: network, masks, losses, tokenizer, decoding."""
