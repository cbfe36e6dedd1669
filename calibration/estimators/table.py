"""All estimators by name, for all answers in one program.

Shapes: N questions, S samples, L tokens with padding at the end.
"""

import jax
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from calibration.estimators import multi, single


class Answers(struct.PyTreeNode):
  """A model's answers as the probabilities of their tokens.

  Attributes:
    logprobs: log-probabilities of the greedy answer's tokens, in nats.
    entropies: entropies of the next-token distributions there, in nats.
    lengths: number of tokens of the greedy answer.
    characters: number of its characters.
    sample_logprobs: log-probabilities of the samples' tokens.
    sample_lengths: number of tokens of each sample.
    clusters: equal numbers for samples that mean the same; negative where there
      is no sample.
    unique: True at the first of samples with identical tokens.
  """

  logprobs: Float[Array, 'N L']
  entropies: Float[Array, 'N L']
  lengths: Int[Array, ' N']
  characters: Int[Array, ' N']
  sample_logprobs: Float[Array, 'N S L']
  sample_lengths: Int[Array, 'N S']
  clusters: Int[Array, 'N S']
  unique: Bool[Array, 'N S']


def check(answers: Answers) -> None:
  """Raises unless the arrays fit and hold log-probabilities; on the host.

  Raises:
    ValueError: names the array, what was expected and what came.
  """
  count, most = answers.logprobs.shape
  samples, most_sampled = answers.sample_logprobs.shape[1:]
  wanted = {
    'entropies': (count, most),
    'lengths': (count,),
    'characters': (count,),
    'sample_logprobs': (count, samples, most_sampled),
    'sample_lengths': (count, samples),
    'clusters': (count, samples),
    'unique': (count, samples),
  }
  for name, shape in wanted.items():
    if (came := getattr(answers, name).shape) != shape:
      raise ValueError(f'answers.{name} must have shape {shape}, got {came}')
  for name, lengths, room in (
    ('logprobs', answers.lengths, most),
    ('entropies', answers.lengths, most),
    ('sample_logprobs', answers.sample_lengths, most_sampled),
  ):
    values, lengths = np.asarray(getattr(answers, name)), np.asarray(lengths)
    if lengths.size and not 0 <= lengths.min() <= lengths.max() <= room:
      raise ValueError(
        f'lengths of answers.{name} must lie in [0, {room}], got '
        f'{lengths.min()} to {lengths.max()}'
      )
    real = values[np.arange(room) < lengths[..., None]]
    sign = 1 if name == 'entropies' else -1
    # Softmaxes may round to a little above 0.
    wrong = ~np.isfinite(real) | (sign * real < -1e-3)
    if wrong.any():
      raise ValueError(
        f'answers.{name} must be finite and not '
        f'{"negative" if sign > 0 else "positive"} within the lengths, got '
        f'{real[wrong][0]} and {wrong.sum() - 1} more'
      )


@jax.jit
def estimate(answers: Answers) -> dict[str, Float[Array, ' N']]:
  """Uncertainties by the keys of `names.NAMES`, without the probes.

  `nsp` and `naive` are on a log scale, which keeps the ranks and does not
  underflow. Probes need labels: calibration/estimators/probe.py.
  """
  sampled = (answers.sample_logprobs, answers.sample_lengths)
  meanings = (answers.clusters, answers.unique)
  return {
    'tokens': single.length(answers.lengths),
    'characters': single.length(answers.characters),
    'ppl': single.perplexity(answers.logprobs, answers.lengths),
    'nsp': single.negative_log_probability(answers.logprobs, answers.lengths),
    'naive': multi.log_naive_entropy(*sampled, answers.clusters >= 0),
    'monte_carlo': multi.monte_carlo_entropy(*sampled, answers.clusters >= 0),
    'mte': single.mean_token_entropy(answers.entropies, answers.lengths),
    'se_norm': multi.semantic_entropy(*sampled, *meanings, by_length=True),
    'se_raw': multi.semantic_entropy(*sampled, *meanings, by_length=False),
  }
