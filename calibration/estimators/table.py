"""All estimators by name, for all answers in one program.

Shapes: N questions, S samples, L tokens of the greedy answer and M of a sample
with padding at the end.
"""

import jax
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from calibration.estimators import (
  consistency,
  graph,
  multi,
  relevance,
  single,
)


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
    similarity: how alike two samples' meanings are, in [0, 1]; this and what
      follows may be None, and the estimators that need it are left out.
    lexical: how alike two samples' words are, in [0, 1].
    with_greedy: how alike the greedy answer and each sample are, in [0, 1].
    relevance: how much each token of the greedy answer changes its meaning, not
      negative; see leave_out.py.
    sample_relevance: the same of the samples' tokens.
  """

  logprobs: Float[Array, 'N L']
  entropies: Float[Array, 'N L']
  lengths: Int[Array, ' N']
  characters: Int[Array, ' N']
  sample_logprobs: Float[Array, 'N S M']
  sample_lengths: Int[Array, 'N S']
  clusters: Int[Array, 'N S']
  unique: Bool[Array, 'N S']
  similarity: Float[Array, 'N S S'] | None = None
  lexical: Float[Array, 'N S S'] | None = None
  with_greedy: Float[Array, 'N S'] | None = None
  relevance: Float[Array, 'N L'] | None = None
  sample_relevance: Float[Array, 'N S M'] | None = None


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
    'similarity': (count, samples, samples),
    'lexical': (count, samples, samples),
    'with_greedy': (count, samples),
    'relevance': (count, most),
    'sample_relevance': (count, samples, most_sampled),
  }
  wanted = {k: v for k, v in wanted.items() if getattr(answers, k) is not None}
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
        f'{real[wrong][0]} and {wrong.sum() - 1} more; leave these answers '
        'out, or record them with --config.record.compute=float32'
      )
  for name in ('similarity', 'lexical', 'with_greedy'):
    if name in wanted:
      _check_range(name, np.asarray(getattr(answers, name)), high=1.0)
  for name, lengths, room in (
    ('relevance', answers.lengths, most),
    ('sample_relevance', answers.sample_lengths, most_sampled),
  ):
    if name in wanted:
      inside = np.arange(room) < np.asarray(lengths)[..., None]
      _check_range(name, np.asarray(getattr(answers, name))[inside])


def _check_range(name, values, high=np.inf):
  """Cosines and scores may be a little outside."""
  wrong = ~np.isfinite(values) | (values < -1e-3) | (values > high + 1e-3)
  if wrong.any():
    limit = 'in [0, 1]' if high == 1 else 'not negative within the lengths'
    raise ValueError(
      f'answers.{name} must be finite and {limit}, got {values[wrong][0]} and '
      f'{wrong.sum() - 1} more; cut a score that may leave this range'
    )


@jax.jit
def estimate(answers: Answers) -> dict[str, Float[Array, ' N']]:
  """Uncertainties by the keys of `names.NAMES`, of all that `answers` has.

  `nsp` and `naive` are on a log scale, which keeps the ranks and does not
  underflow. Probes need labels (probe.py), and what a model says of its own
  answers must be asked (calibration/recording/self_report.py).
  """
  greedy = (answers.logprobs, answers.lengths)
  sampled = (answers.sample_logprobs, answers.sample_lengths)
  meanings = (answers.clusters, answers.unique)
  real = answers.clusters >= 0
  same = answers.clusters[:, :, None] == answers.clusters[:, None, :]
  nll = single.negative_log_probability(*greedy)
  mte = single.mean_token_entropy(answers.entropies, answers.lengths)
  out = {
    'tokens': single.length(answers.lengths),
    'characters': single.length(answers.characters),
    'ppl': single.perplexity(*greedy),
    'nsp': nll,
    'min_token': single.max_token_surprisal(*greedy),
    'naive': multi.log_naive_entropy(*sampled, real),
    'monte_carlo': multi.monte_carlo_entropy(*sampled, real),
    'monte_carlo_norm': multi.monte_carlo_entropy(
      *sampled, real, by_length=True
    ),
    'mte': mte,
    'se_norm': multi.semantic_entropy(*sampled, *meanings, by_length=True),
    'se_raw': multi.semantic_entropy(*sampled, *meanings, by_length=False),
    'sets': graph.semantic_sets(same, real),
  }
  alike = answers.similarity
  if answers.lexical is not None:
    out['lexical'] = consistency.dissimilarity(answers.lexical, real)
  if alike is not None:
    out['eigv'] = graph.eigenvalue_sum(alike, real)
    out['deg'] = graph.degree(alike, real)
    out['ecc'] = graph.eccentricity(alike, real)
    for kernel in graph.KERNELS:
      out[f'kle_{kernel}'] = graph.kernel_entropy(alike, real, kernel=kernel)
    logp = single.sequence_logprob(*sampled)
    out['sentence_sar'] = relevance.sentence_sar(logp, alike, real)
  if answers.relevance is not None:
    out['token_sar'] = relevance.token_sar(*greedy, answers.relevance)
  if alike is not None and answers.sample_relevance is not None:
    surprise = relevance.token_sar(*sampled, answers.sample_relevance)
    out['sar'] = relevance.sentence_sar(-surprise, alike, real)
  if answers.with_greedy is not None:
    mean = -single.mean_logprob(*greedy)
    for name, value in (('msp', nll), ('ppl', mean), ('mte', mte)):
      agree = consistency.cocoa(value, answers.with_greedy, real)
      out[f'cocoa_{name}'] = agree
  return out
