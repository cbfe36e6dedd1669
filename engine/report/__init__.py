"""From numbers to what people read: tables and figures; no JAX."""
