"""The sides of benchmarks/probes.py: three solvers, two readers of states.

Each function builds a side in a process of its own and returns what runs it
once. Objectives are compared in float64, away from any clock.
"""

import ctypes
import functools
import multiprocessing
import pathlib
import time

import numpy as np

RATIO = 1e-2
LAMBDAS = 50
# A single fit is at this share of lambda_max.
SINGLE = 0.1
# From loose to tight; each side takes the loosest that reaches GAP.
TOLERANCES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7, 1e-8)
GAP = 1e-6


def chunk(folder: pathlib.Path, number: int) -> tuple[np.ndarray, np.ndarray]:
  """(standardised features [S, N, D], labels [S, N]) of one round."""
  with np.load(folder / f'{number}.npz', allow_pickle=False) as file:
    return file['x'], file['y']


def grid(x, y, lambdas: int = LAMBDAS) -> np.ndarray:
  """Descending lambdas of one problem, float64."""
  y = y.astype(np.float64)
  top = np.abs(x.astype(np.float64).T @ (y - y.mean())).max() / len(y)
  return top * RATIO ** (np.arange(lambdas) / (lambdas - 1))


def objective(x, y, w, b, lam) -> np.ndarray:
  """Mean loss and l1 penalty in float64, [L], at the best intercepts."""
  z = w.astype(np.float64) @ x.astype(np.float64).T
  b = np.asarray(b, np.float64).copy()
  y = y.astype(np.float64)
  for _ in range(50):
    p = 1 / (1 + np.exp(-(z + b[:, None])))
    b -= (p - y).mean(1) / np.maximum((p * (1 - p)).mean(1), 1e-12)
  z = z + b[:, None]
  loss = np.logaddexp(0, np.where(y > 0, -z, z)).mean(1)
  return loss + lam * np.abs(w.astype(np.float64)).sum(1)


def ours(folder: pathlib.Path, tolerance: float):
  """One program for all of a round, over two devices."""
  import jax

  jax.config.update('jax_num_cpu_devices', 2)
  import jax.numpy as jnp

  from engine import mesh as mesh_lib
  from launch import setup
  from probes.fitting import solvers

  setup.compile_cache()
  penalty = solvers.Penalty(lambdas=LAMBDAS, ratio=RATIO, tolerance=tolerance)
  mesh = mesh_lib.make(mesh_lib.MeshConfig())
  one = mesh_lib.make(mesh_lib.MeshConfig(), jax.devices()[:1])

  def fit(number, rows=None, mesh=mesh, lambdas=None):
    x, y = chunk(folder, number)
    x, y = x[:rows], y[:rows]
    began = time.monotonic()
    basis = np.zeros(x[:, 0].shape, x.dtype), np.ones(x[:, 0].shape, x.dtype)
    path = solvers.fit_paths(
      jnp.asarray(x),
      jnp.asarray(y),
      jnp.ones((len(x), 1, x.shape[1])),
      penalty,
      basis=tuple(map(jnp.asarray, basis)),
      lambdas=lambdas,
      mesh=mesh,
    )
    w, b = np.asarray(path.w), np.asarray(path.b)
    return time.monotonic() - began, w[:, 0], b[:, 0]

  def single(number):
    x, y = chunk(folder, number)
    lam = jnp.full((1, 1, 1), SINGLE * grid(x[0], y[0])[0], jnp.float32)
    return fit(number, 1, one, lam)

  return fit, single


def _liblinear(task):
  from sklearn import linear_model

  x, y, lambdas, tolerance = task
  w, b = [], []
  for lam in lambdas:
    # Its intercept is a penalised feature; of this size it hardly is.
    model = linear_model.LogisticRegression(
      l1_ratio=1.0,
      solver='liblinear',
      C=1 / (lam * len(y)),
      tol=tolerance,
      intercept_scaling=100.0,
      max_iter=100_000,
      random_state=0,
    ).fit(x, y)
    w.append(model.coef_[0])
    b.append(model.intercept_[0])
  return np.array(w), np.array(b)


def _skglm(task):
  import skglm

  x, y, lambdas, tolerance = task
  s = np.where(y > 0, 1.0, -1.0)
  x = np.asfortranarray(x, np.float64)
  model = skglm.SparseLogisticRegression(
    tol=tolerance, warm_start=True, max_iter=200, max_epochs=50_000
  )
  w, b = [], []
  for lam in lambdas:
    model.alpha = lam
    model.fit(x, s)
    w.append(np.ravel(model.coef_))
    b.append(np.ravel(model.intercept_)[0])
  return np.array(w), np.array(b)


def _one_thread():
  import threadpoolctl

  threadpoolctl.threadpool_limits(1)


PEERS = {'liblinear': _liblinear, 'skglm': _skglm}


def peer(name: str, folder: pathlib.Path, tolerance: float):
  """A fit a time in two processes of one thread each."""
  import threadpoolctl

  solve = PEERS[name]
  pool = multiprocessing.get_context('spawn').Pool(2, _one_thread)

  def fit(number, rows=None):
    x, y = chunk(folder, number)
    x, y = x[:rows].astype(np.float64), y[:rows]
    began = time.monotonic()
    found = pool.map(
      solve,
      [(a, b, grid(a, b), tolerance) for a, b in zip(x, y, strict=True)],
      chunksize=1,
    )
    w, b = map(np.stack, zip(*found, strict=True))
    return time.monotonic() - began, w, b

  def single(number):
    x, y = chunk(folder, number)
    lam = SINGLE * grid(x[0], y[0])[0]
    with threadpoolctl.threadpool_limits(2):
      began = time.monotonic()
      w, b = solve((x[0].astype(np.float64), y[0], [lam], tolerance))
      return time.monotonic() - began, w[None], b[None]

  return fit, single


MAKERS = {
  'ours': ours,
  'liblinear': functools.partial(peer, 'liblinear'),
  'skglm': functools.partial(peer, 'skglm'),
}


def solver(name: str, folder: pathlib.Path, tolerance: float | None, rounds):
  """A side that goes through the rounds, or, without one, finds its tolerance.

  What it measures: seconds of a sweep, and of a single fit, and objectives.
  """
  make = MAKERS[name]
  if tolerance is None:
    return lambda: _least_tolerance(make, folder)
  fit, single = make(folder, tolerance)
  for warm in range(min(2, rounds)):
    fit(warm)
    single(warm)
  numbers = iter(range(rounds))

  def run():
    number = next(numbers)
    x, y = chunk(folder, number)
    seconds, w, b = fit(number)
    values = [
      objective(*rest, grid(*rest[:2])) for rest in zip(x, y, w, b, strict=True)
    ]
    alone = []
    for _ in range(3):
      spent, w, b = single(number)
      alone.append(spent)
    lam = SINGLE * grid(x[0], y[0])[0]
    value = objective(x[0], y[0], w[0], b[0], lam)
    return {
      'sweep': seconds,
      'single': sorted(alone)[1],
      'values': np.stack(values),
      'value': value,
    }

  return run


def _least_tolerance(make, folder):
  """Objectives of two problems by tolerance, until they change no more."""
  out = {}
  x, y = chunk(folder, 0)
  for tolerance in TOLERANCES:
    fit, _ = make(folder, tolerance)
    _, w, b = fit(0, 2)
    out[tolerance] = np.stack(
      [
        objective(*rest, grid(*rest[:2]))
        for rest in zip(x[:2], y[:2], w, b, strict=True)
      ]
    )
    last = list(out.values())[-2:]
    if len(last) == 2 and np.max((last[0] - last[1]) / last[1]) < GAP / 20:
      break
  return out


ROWS, LENGTH = 16, 256


def sequences(count: int) -> np.ndarray:
  """Ids [N, T] below the specials' range."""
  return np.random.default_rng(0).integers(100, 40_000, (count, LENGTH))


def _measured(run):
  """(seconds, bytes that the process grew by at its peak, what it read)."""
  ctypes.CDLL(None).malloc_trim(0)  # what earlier runs have left
  pathlib.Path('/proc/self/clear_refs').write_text('5')
  before = _status('VmRSS')
  began = time.monotonic()
  found = run()
  seconds = time.monotonic() - began
  return seconds, _status('VmHWM') - before, found


def _status(field: str) -> int:
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith(f'{field}:'):
      return int(line.split()[1]) * 1024
  raise LookupError(field)


def read_ours(count: int):
  """Every layer at two tokens, by `probes.activations.extract`."""
  from engine import assets
  from launch import setup
  from lm.checkpoints import weights
  from probes.recording import activations

  setup.compile_cache()
  model = weights.load(assets.fetch('smollm2_135m_instruct'), fused=True)
  sites = activations.sites(model.config.layers)
  ids = sequences(count).tolist()
  prompts = [row[: LENGTH // 2] for row in ids]
  answers = [row[LENGTH // 2 :] for row in ids]

  def read():
    found = activations.extract(
      model.config, model.params, prompts, answers, sites, batch=ROWS
    )
    return np.stack([found[site] for site in sites], 1)

  read()
  return lambda: _measured(read)


def read_theirs(folder: pathlib.Path, count: int):
  """transformers with output_hidden_states, then the same positions."""
  import torch
  import transformers

  torch.set_num_threads(2)
  model = transformers.AutoModel.from_pretrained(
    folder, dtype=torch.float32
  ).eval()
  ids = torch.tensor(sequences(count))

  def read():
    parts = []
    with torch.inference_mode():
      for rows in ids.split(ROWS):
        states = model(
          rows, output_hidden_states=True, use_cache=False
        ).hidden_states
        at = [state[:, [LENGTH // 2 - 1, LENGTH - 1]] for state in states[1:]]
        parts.append(torch.stack(at, 1).reshape(len(rows), -1, at[0].shape[-1]))
    return torch.cat(parts).numpy()

  read()
  return lambda: _measured(read)
