"""Statistics that several papers share, each once.

NumPy arrays stay on the host: whole numbers are counted in int64 and the rest
is float64. JAX arrays, inside a program or outside, are counted in float32.

All of them treat what has no value alike. A NaN where the weight is positive
makes the statistic NaN, and so does an input that leaves it undefined: no
sample, an empty class, a column that does not vary. A weight of 0 or False is
padding, where any value may stand. Resampled intervals leave out replicates
that are NaN.
"""
