"""How uncertain an answer is, by eight methods and its length."""
