"""The sides of benchmarks/calibration.py, and the peers of its parity check.

A side is built and warmed up in a process of its own; what it returns runs
once and gives {what: (seconds, value)}, the value an array to be compared.
"""

import time

import numpy as np

SIZES = {'1e3': 1_000, '1e5': 100_000, '1e6': 1_000_000}
# Calls behind one figure: a millisecond alone is not measured well.
CALLS = {'1e3': 20, '1e5': 5, '1e6': 1}
REPLICATES = 1000
# Answers behind a diagram.
DIAGRAMS = {'1e3': 1_000, '1e4': 10_000}
QUESTIONS, SAMPLES, TOKENS = 2_000, 10, 32


def world(seed: int, size: int, samples: int = 0):
  """Overconfident answers (confidence, right), float64; k/M with samples."""
  rng = np.random.default_rng(seed)
  p = rng.random(size)
  conf = rng.binomial(samples, p) / samples if samples else p
  return conf, (rng.random(size) < p**1.3).astype(np.int64)


def timed(function, calls: int = 1):
  """(seconds of a call, what the last gave)."""
  began = time.perf_counter()
  for _ in range(calls):
    out = function()
  return (time.perf_counter() - began) / calls, out


def smece_ours():
  """Ours; data lies where the program reads it, as theirs does."""
  import jax
  import jax.numpy as jnp

  from calibration.metrics import smooth

  given = {}
  for name, size in SIZES.items():
    conf, right = world(0, size)
    given[name] = jnp.asarray(conf, jnp.float32), jnp.asarray(right)

  def run():
    out = {}
    for name, arrays in given.items():
      seconds, found = timed(
        lambda a=arrays: jax.block_until_ready(smooth.smece(*a)), CALLS[name]
      )
      out[name] = seconds, np.array([found.value, found.width])
    return out

  run()
  return run


def smece_theirs():
  """relplot's smECE with its width."""
  import relplot

  given = {name: world(0, size) for name, size in SIZES.items()}

  def run():
    out = {}
    for name, arrays in given.items():
      seconds, found = timed(
        lambda a=arrays: relplot.smECE(*a, return_width=True), CALLS[name]
      )
      out[name] = seconds, np.array(found)
    return out

  run()
  return run


def diagram_ours():
  """Width, curve, density and band of a diagram."""
  import jax
  import jax.numpy as jnp

  from calibration.metrics import resampling, smooth

  given = {}
  for name, size in DIAGRAMS.items():
    conf, right = world(1, size)
    given[name] = jnp.asarray(conf, jnp.float32), jnp.asarray(right)

  def diagram(conf, right):
    width = smooth.smece(conf, right).width
    return jax.block_until_ready(
      (
        smooth.curve(conf, right, width),
        resampling.band(
          jax.random.key(0), conf, right, width, draws=REPLICATES
        ),
      )
    )

  def run():
    out = {}
    for name, arrays in given.items():
      seconds, (_, band) = timed(lambda a=arrays: diagram(*a))
      out[name] = seconds, np.stack([band.low, band.high])
    return out

  run()
  return run


def diagram_theirs():
  """relplot's diagram, without its interval of the error.

  Its bags smooth labels. Values are compared where its own centred regressor
  smooths residuals, as ours does; that run is not timed.
  """
  import relplot
  from relplot import diagrams, estimators, kernels

  given = {name: world(1, size) for name, size in DIAGRAMS.items()}
  options = {'num_bootstrap': REPLICATES, 'report_CE_std': False}
  bands = {}
  for name, (conf, right) in given.items():
    _, width = relplot.smECE(conf, right, return_width=True)
    centred = estimators.CenteredRegressor(
      estimators.KernelSmoother(kernels.ReflectedGaussianKernel(width))
    )
    found = diagrams.prepare_rel_diagram(
      conf, right, custom_regressor=centred, **options
    )
    bands[name] = np.stack([found['lower'], found['upper']])

  def run():
    out = {}
    for name, arrays in given.items():
      seconds, _ = timed(
        lambda a=arrays: diagrams.prepare_rel_diagram(*a, **options)
      )
      out[name] = seconds, bands[name]
    return out

  return run


def answers():
  """Log-probabilities and clusters of made-up answers, as named arrays."""
  rng = np.random.default_rng(2)
  shape = QUESTIONS, SAMPLES, TOKENS
  lengths = rng.integers(1, TOKENS + 1, shape[:2])
  clusters = rng.integers(0, 4, shape[:2])
  draw = rng.random(shape)
  return {
    'logprobs': np.log(rng.random((QUESTIONS, TOKENS))).astype(np.float32),
    'entropies': rng.random((QUESTIONS, TOKENS)).astype(np.float32),
    'lengths': rng.integers(1, TOKENS + 1, QUESTIONS),
    'characters': rng.integers(1, 99, QUESTIONS),
    'sample_logprobs': np.log1p(-0.5 * draw).astype(np.float32),
    'sample_lengths': lengths,
    'clusters': clusters,
    'unique': rng.random(shape[:2]) < 0.8,
  }


def estimators_ours():
  """All estimators in one program."""
  import jax
  import jax.numpy as jnp

  from calibration.estimators import table

  given = table.Answers(**{k: jnp.asarray(v) for k, v in answers().items()})

  def run():
    seconds, found = timed(
      lambda: jax.block_until_ready(table.estimate(given)), 5
    )
    return {name: (seconds, np.asarray(value)) for name, value in found.items()}

  run()
  return run


def one_question(a, n):
  """What `table.estimate` has of a question, as one would write it down."""
  size = a['lengths'][n]
  logp, entropy = a['logprobs'][n, :size], a['entropies'][n, :size]
  sums, means = [], []
  for s in range(SAMPLES):
    tokens = a['sample_logprobs'][n, s, : a['sample_lengths'][n, s]]
    sums.append(tokens.sum())
    means.append(tokens.mean())
  sums, means = np.array(sums), np.array(means)
  out = {
    'tokens': size,
    'characters': a['characters'][n],
    'ppl': np.exp(-logp.mean()),
    'nsp': -logp.sum(),
    'mte': entropy.mean(),
    'naive': np.log(-np.sum(np.exp(sums) * sums)),
  }
  clusters, unique = a['clusters'][n], a['unique'][n]
  for name, logs in (('se_norm', means), ('se_raw', sums)):
    mass = np.array(
      [
        np.exp(logs[unique & (clusters == k)]).sum()
        for k in np.unique(clusters)
      ]
    )
    share = mass[mass > 0] / mass.sum() if mass.sum() > 0 else np.ones(1)
    out[name] = -np.sum(share * np.log(share))
  return out


def estimators_theirs():
  """A loop over questions and samples in plain NumPy."""
  given = answers()

  def loop():
    rows = [one_question(given, n) for n in range(QUESTIONS)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}

  def run():
    seconds, found = timed(loop)
    return {name: (seconds, value) for name, value in found.items()}

  run()
  return run


def parity() -> dict[str, float]:
  """Largest differences from peers over random runs; nothing is timed."""
  import warnings

  import jax.numpy as jnp
  import relplot
  import scipy.stats
  from netcal import metrics as netcal
  from rouge_score import rouge_scorer
  from sklearn import metrics as sklearn

  from calibration.correctness import lexical
  from calibration.metrics import binned, smooth
  from engine.stats import auroc, ranks

  warnings.simplefilter('ignore')
  worst: dict[str, float] = {}

  def see(name, ours, theirs):
    away = float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))
    worst[f'difference_{name}'] = max(worst.get(f'difference_{name}', 0), away)

  for seed in range(20):
    rng = np.random.default_rng(seed)
    # Frequencies too; a few sizes only, each is a program.
    size, samples = (60, 250)[seed % 2], (0, 20, 0, 10)[seed % 4]
    conf, right = world(100 + seed, size, samples)
    given = jnp.asarray(conf, jnp.float32), jnp.asarray(right)
    see('relplot_smece', smooth.smece(*given).value, relplot.smECE(conf, right))
    at = smooth.smece_at(*given, jnp.float32(0.05))
    see('relplot_smece_at', at, relplot.smECE_sigma(conf, right, 0.05))
    if not samples:  # theirs puts edges where floats fall
      for bins in (10, 15):
        ours = binned.ece(binned.by_width(*given, bins=bins))
        see('netcal_ece', ours, netcal.ECE(bins).measure(conf, right))
    losses = binned.log_loss(*given, floor=0.01)
    clipped = np.clip(conf, 0.01, 0.99)
    see('sklearn_log_loss', losses, sklearn.log_loss(right, clipped))
    brier = sklearn.brier_score_loss(right, conf)
    see('sklearn_brier', binned.brier(*given), brier)
    see(
      'sklearn_auroc', auroc.auroc(*given), sklearn.roc_auc_score(right, conf)
    )
    one = (conf * 4).astype(int)
    other = np.where(rng.random(size) < 0.6, one, rng.integers(0, 5, size))
    kappa = ranks.kappa(one, other)
    see('sklearn_kappa', kappa, sklearn.cohen_kappa_score(one, other))
    rho = ranks.spearman(conf, other)
    see('scipy_spearman', rho, scipy.stats.spearmanr(conf, other).statistic)

  words = np.array(['the', 'of', 'Paris', 'is', 'in', 'France', 'a', 'Seine'])
  rng = np.random.default_rng(0)
  texts = [' '.join(rng.choice(words, rng.integers(1, 9))) for _ in range(90)]
  said = texts[:30]
  accepted = [list(two) for two in zip(texts[30:60], texts[60:], strict=True)]
  scorer = rouge_scorer.RougeScorer(['rouge1', 'rougeL'])
  for ours, kind in (('rouge1_f1', 'rouge1'), ('rougel_f1', 'rougeL')):
    theirs = [
      scorer.score_multi(r, a)[kind].fmeasure
      for a, r in zip(said, accepted, strict=True)
    ]
    see(f'rouge_score_{kind}', lexical.scores(ours, said, accepted), theirs)
  return worst
