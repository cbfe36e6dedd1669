"""Lead sections of English Wikipedia."""
