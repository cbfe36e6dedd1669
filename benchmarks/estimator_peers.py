"""Estimators of uncertainty of lm-polygraph and uqlm beside ours, live.

Both sides read the same made-up answers (`inputs`). The peers are not in any
extra, as what they pin does not go together with ours. Beside everything that
`pip install .[bench]` brings:

    pip install --no-deps lm-polygraph==0.7.0 uqlm==0.6.7 nltk==3.10.4

Only the files that compute are read, not their packages' front doors, which
open models. tests/calibration/estimators/peers_test.py holds what they gave.
"""

import importlib
import importlib.util
import math
import pathlib
import sys
import time
import types
from typing import Any

import numpy as np

PEERS = {'lm_polygraph': 'lm-polygraph==0.7.0', 'uqlm': 'uqlm==0.6.7'}
QUESTIONS, SAMPLES, TOKENS = 6, 5, 7
# Tops last: their place is looked up for what lies in them.
_PACKAGES = (
  'lm_polygraph.estimators',
  'lm_polygraph.utils',
  'lm_polygraph',
  'uqlm.white_box',
  'uqlm',
)
_WORDS = ('red', 'blue', 'green', 'sky', 'sea', 'is', 'the', 'a')

Inputs = dict[str, Any]
Values = dict[str, np.ndarray]


def inputs(
  seed: int,
  *,
  questions: int = QUESTIONS,
  samples: int = SAMPLES,
  tokens: int = TOKENS,
) -> Inputs:
  """Made-up answers, drawn in this order from `np.random.default_rng(seed)`.

  Args:
    seed: of all that is drawn.
    questions: N.
    samples: S.
    tokens: L, of a greedy answer and of a sample.

  Returns:
    logprobs, entropies [N, L], lengths [N], sample_logprobs [N, S, L],
    sample_lengths [N, S]; entail, contradict [N, S, S], of three classes that
    sum to 1, a sample entails itself; similarity [N, S, S], symmetric with ones
    on the diagonal; with_greedy [N, S]; relevance [N, L] and sample_relevance
    [N, S, L] in [0, 1]; texts, N lists of S; p_true [N]; replies, N texts.
  """
  rng = np.random.default_rng(seed)
  n, s, t = questions, samples, tokens
  out: Inputs = {
    'logprobs': np.log(rng.uniform(0.05, 1, (n, t))),
    'entropies': rng.uniform(0, 3, (n, t)),
    'lengths': rng.integers(1, t + 1, n),
    'sample_logprobs': np.log(rng.uniform(0.05, 1, (n, s, t))),
    'sample_lengths': rng.integers(1, t + 1, (n, s)),
  }
  classes = rng.dirichlet((1, 1, 1), (n, s, s))
  own = np.eye(s, dtype=bool)
  out['entail'] = np.where(own, 0.98, classes[..., 0])
  out['contradict'] = np.where(own, 0.01, classes[..., 1])
  half = rng.uniform(0, 1, (n, s, s))
  out['similarity'] = np.where(own, 1, (half + half.transpose(0, 2, 1)) / 2)
  out['with_greedy'] = rng.uniform(0, 1, (n, s))
  out['relevance'] = rng.uniform(0, 1, (n, t))
  out['sample_relevance'] = rng.uniform(0, 1, (n, s, t))
  out['texts'] = [
    [' '.join(rng.choice(_WORDS, rng.integers(1, 6))) for _ in range(s)]
    for _ in range(n)
  ]
  out['p_true'] = np.log(rng.uniform(0.05, 1, n))
  out['replies'] = [
    f'Guess: {rng.integers(9)}\nProbability: {rng.uniform():.2f}'
    for _ in range(n)
  ]
  return out


def ours(given: Inputs) -> Values:
  """{estimator: [N]} in the units of the peers."""
  from calibration.estimators import (
    consistency,
    graph,
    multi,
    relevance,
    similarity,
    single,
    verbal,
  )

  f32 = {
    k: np.asarray(v, np.float32)
    for k, v in given.items()
    if isinstance(v, np.ndarray) and v.dtype == np.float64
  }
  greedy = f32['logprobs'], given['lengths']
  sampled = f32['sample_logprobs'], given['sample_lengths']
  entail, contradict = f32['entail'], f32['contradict']
  links = graph.entails_more(entail, contradict)
  weights = graph.nli_similarity(entail, contradict)
  rouge = similarity.rouge_l(given['texts'])
  mean_nll = -single.mean_logprob(*greedy)
  nll = single.negative_log_probability(*greedy)
  mte = single.mean_token_entropy(f32['entropies'], given['lengths'])
  token_sars = relevance.token_sar(*sampled, f32['sample_relevance'])
  found = {
    'EigValLaplacian': graph.eigenvalue_sum(entail),
    'EigValLaplacian contra': graph.eigenvalue_sum(1 - contradict),
    'DegMat': graph.degree(entail),
    'DegMat contra': graph.degree(1 - contradict),
    'Eccentricity': graph.eccentricity(entail),
    'Eccentricity contra': graph.eccentricity(1 - contradict),
    'NumSemSets': graph.semantic_sets(links),
    'LexicalSimilarity': consistency.dissimilarity(rouge),
    'KernelLanguageEntropy': graph.kernel_entropy(weights)
    / math.log(entail.shape[-1]),
    'TokenSAR': relevance.token_sar(*greedy, f32['relevance']),
    'SentenceSAR': relevance.sentence_sar(
      single.sequence_logprob(*sampled), f32['similarity']
    ),
    'SAR': relevance.sentence_sar(-token_sars, f32['similarity']),
    'MonteCarloNormalizedSequenceEntropy': multi.monte_carlo_entropy(
      *sampled, by_length=True
    ),
    'MaximumSequenceProbability': nll,
    'CocoaMSP': consistency.cocoa(nll, f32['with_greedy']),
    'CocoaPPL': consistency.cocoa(mean_nll, f32['with_greedy']),
    'CocoaMTE': consistency.cocoa(mte, f32['with_greedy']),
    'PTrue': verbal.p_true(given['p_true']),
    'Verbalized1S': verbal.uncertainty(given['replies'], verbal.AFTER_GUESS)[0],
    'uqlm min_probability': np.exp(-single.max_token_surprisal(*greedy)),
    'uqlm sequence_probability': np.exp(-mean_nll),
  }
  return {name: np.asarray(value) for name, value in found.items()}


def missing() -> str:
  """One sentence that says which peer is not here; '' if both are."""
  absent = [
    p for name, p in PEERS.items() if not importlib.util.find_spec(name)
  ]
  return (
    f'no comparison with {" and ".join(absent)}: pip install --no-deps '
    f'{" ".join(absent)} nltk'
    if absent
    else ''
  )


def _look_into(*packages: str) -> None:
  """Makes modules of packages without running their `__init__.py`."""
  for name in packages:
    top, *rest = name.split('.')
    if name not in sys.modules:
      home = pathlib.Path(importlib.util.find_spec(top).origin).parent
      sys.modules[name] = types.ModuleType(name)
      sys.modules[name].__path__ = [str(home.joinpath(*rest))]


def theirs(given: Inputs) -> Values:
  """{estimator: [N]} by the peers; see `missing`."""
  _look_into(*_PACKAGES)

  def polygraph(file, name, **options):
    found = importlib.import_module(f'lm_polygraph.estimators.{file}')
    return np.array(getattr(found, name)(**options)(stats), float)

  def cut(rows, lengths):
    return [row[:size] for row, size in zip(rows, lengths, strict=True)]

  greedy = cut(given['logprobs'], given['lengths'])
  sampled = [
    cut(*pair)
    for pair in zip(
      given['sample_logprobs'], given['sample_lengths'], strict=True
    )
  ]
  stats = {
    'sample_texts': given['texts'],
    'semantic_matrix_entail': given['entail'],
    'semantic_matrix_contra': given['contradict'],
    'greedy_log_likelihoods': greedy,
    'entropy': cut(given['entropies'], given['lengths']),
    'sample_log_likelihoods': sampled,
    'sample_log_probs': [[row.sum() for row in rows] for rows in sampled],
    'sample_tokens': sampled,
    'sample_sentence_similarity': given['similarity'],
    'greedy_sentence_similarity': given['with_greedy'],
    'token_similarity': [
      1 - row for row in cut(given['relevance'], given['lengths'])
    ],
    'sample_token_similarity': [
      [1 - row for row in cut(*pair)]
      for pair in zip(
        given['sample_relevance'], given['sample_lengths'], strict=True
      )
    ],
    'p_true': given['p_true'],
    'greedy_texts': given['replies'],
  }
  out = {}
  for file, name in (
    ('eig_val_laplacian', 'EigValLaplacian'),
    ('deg_mat', 'DegMat'),
    ('eccentricity', 'Eccentricity'),
  ):
    out[name] = polygraph(file, name)
    out[f'{name} contra'] = polygraph(file, name, affinity='contra')
  for file, name in (
    ('num_sem_sets', 'NumSemSets'),
    ('lexical_similarity', 'LexicalSimilarity'),
    ('kernel_language_entropy', 'KernelLanguageEntropy'),
    ('token_sar', 'TokenSAR'),
    ('sentence_sar', 'SentenceSAR'),
    ('sar', 'SAR'),
    (
      'monte_carlo_normalized_sequence_entropy',
      'MonteCarloNormalizedSequenceEntropy',
    ),
    ('max_probability', 'MaximumSequenceProbability'),
    ('cocoa', 'CocoaMSP'),
    ('cocoa', 'CocoaPPL'),
    ('cocoa', 'CocoaMTE'),
    ('p_true', 'PTrue'),
  ):
    out[name] = polygraph(file, name)
  out['Verbalized1S'] = polygraph(
    'verbalized_1s', 'Verbalized1S', confidence_regex=r'Probability: (\S+)'
  )
  scoring = importlib.import_module('uqlm.white_box.single_logprobs')
  scorer = scoring.SingleLogprobsScorer()
  scored = scorer.evaluate([[{'logprob': p} for p in row] for row in greedy])
  for name, values in scored.items():
    out[f'uqlm {name}'] = np.array(values)
  return out


def _side(estimate):
  """Runs all estimators once over answers of the size of a study."""
  given = inputs(0, questions=300, samples=10, tokens=32)

  def run():
    began = time.perf_counter()
    found = estimate(given)
    return {'all': (time.perf_counter() - began, len(found))}

  run()
  return run


def side_ours():
  """Ours; a maker for benchmarks/alternate.py."""
  return _side(ours)


def side_theirs():
  """The peers', a loop over questions; likewise."""
  return _side(theirs)


def parity(runs: int = 5) -> dict[str, float]:
  """{difference_<peer>_<estimator>: largest over random runs}."""
  worst: dict[str, float] = {}
  for seed in range(runs):
    given = inputs(seed)
    want, found = theirs(given), ours(given)
    for name, value in want.items():
      rest = name.removeprefix('uqlm ')
      peer = 'polygraph' if rest == name else 'uqlm'
      key = f'difference_{peer}_{rest.replace(" ", "_")}'
      away = float(np.max(np.abs(found[name] - value)))
      worst[key] = max(worst.get(key, 0.0), away)
  return worst
