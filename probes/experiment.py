"""Is there one geometry of truth in a language model? Nothing is trained.

The experiment records what is missing (recording/), then fits and compares
probes at every site (report.py). `build(cfg)` reads configs/probes/*_tasks.py
and *_pod.py. The seed splits samples and draws folds. Answers and activations
are recorded once and are the same for every seed.
"""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import logging

from engine import experiment as experiment_lib
from engine import options
from lm import init as model_init
from lm import transformer
from probes import claims as claims_lib
from probes.comparing import compare, confounds, mixtures, report
from probes.recording import activations, record, store

COLUMNS = (
  *claims_lib.columns('resid_post.last_prompt', ' (prompt)'),
  *claims_lib.columns('resid_post.last_answer', ' (answer)'),
)


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the sections `record`, `probes` and `tasks`.

  Raises:
    ValueError: a field does not fit.
  """
  wanted = options.section(cfg['record'], 'record', record.Recording)
  probes = options.section(cfg['probes'], 'probes', compare.Settings)
  share, seed = cfg['test_share'], cfg['run']['seed']
  least, most, steps = cfg['least'], cfg['most'], cfg['run']['steps']
  if not 0 < share < 1:
    raise ValueError(f'test_share must be in (0, 1), got {share}')

  def test(state, key):
    del state
    record.gather(wanted)
    names, figures = graded(wanted, least, most, seed)
    splits = Splits(wanted, names, share, seed)
    sites = {
      site.name: f'{site.stream}.{site.token}' for site in splits.sites()
    }
    found = report.measure(key, splits.load, sites, names, probes, seed=seed)
    return figures | found

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    **model_init.dry_run(cfg, wanted.compute, functools.partial(_cost, wanted)),
    columns=COLUMNS,
    claims=claims_lib.claims,
    figures='probes.plots',
  )


def graded(
  wanted: record.Recording, least: float, most: float, seed: int
) -> tuple[list[str], dict[str, float | str]]:
  """Selects tasks by accuracy, and measures baselines that read text alone.

  Logs the accuracy of every task.

  Args:
    wanted: a finished recording.
    least: the least accuracy; a task below it is left out.
    most: the largest accuracy; a task above it is left out.
    seed: seed of the folds of the text baselines.

  Returns:
    The names of the selected tasks, and the results.

  Raises:
    ValueError: fewer than two tasks are left.
  """
  names, figures = [], {}
  for task, group in wanted.named().items():
    said = store.answers(wanted.at(), group)
    right = float(said.labels.mean())
    kept = least <= right <= most
    logging.info(
      '%-20s %5d answers, %.1f%% right%s',
      task,
      len(said.labels),
      100 * right,
      '' if kept else ': left out',
    )
    figures[f'right/{task}'] = right
    if not kept:
      continue
    names.append(task)
    text = confounds.text_auroc(
      task, list(said.prompts), said.labels, groups=said.groups, seed=seed
    )
    length = confounds.answer_lengths(
      task,
      list(said.answers),
      list(said.tokens),
      said.labels,
      groups=said.groups,
      seed=seed,
    )
    both = confounds.text_auroc(
      task,
      [f'{q} {a}' for q, a in zip(said.prompts, said.answers, strict=True)],
      said.labels,
      groups=said.groups,
      seed=seed,
    )
    figures[f'text/{task}'] = float(text)
    figures[f'text_and_answer/{task}'] = float(both)
    figures[f'grader/{task}'] = str(said.grader[0])
    figures[f'length/{task}'] = float(max(length))
  if len(names) < 2:
    raise ValueError(
      f'two tasks at least must be right between least={least} and most='
      f'{most} of the time, came {len(names)}; see the shares above, and '
      'change --config.record.tasks'
    )
  for kind in ('text', 'text_and_answer', 'length'):
    values = [figures[f'{kind}/{task}'] for task in names]
    figures[kind] = float(np.mean(values))
  return names, figures | {'tasks': float(len(names))}


class Splits:
  """Training and held-out samples of the tasks, the same at every site.

  A group is the subject of a question, for example a country or a word. All
  samples of a group are on the same side in every task, so no probe is tested
  on a subject that a probe of any task was trained on.
  """

  def __init__(
    self,
    wanted: record.Recording,
    names: list[str],
    share: float,
    seed: int,
  ):
    self._wanted, self._folder = wanted, wanted.at()
    self._named = {name: wanted.named()[name] for name in names}
    said = [store.answers(self._folder, one) for one in self._named.values()]
    size = max(len(answers.labels) for answers in said)
    shape = len(names), size
    self._y = np.zeros(shape, np.float32)
    self._train, self._test = np.zeros(shape, bool), np.zeros(shape, bool)
    self._group = np.zeros(shape, np.int32)
    for t, answers in enumerate(said):
      count = len(answers.labels)
      self._y[t, :count] = answers.labels
      test = held_out(answers.groups, share, seed)
      self._test[t, :count], self._train[t, :count] = test, ~test
      self._group[t, :count] = np.unique(answers.groups, return_inverse=True)[1]
      for side, mask in (('training', ~test), ('held-out', test)):
        if not 0 < answers.labels[mask].sum() < mask.sum():
          raise ValueError(
            f'{names[t]}: {mask.sum()} {side} answers of one kind; ask more '
            '--config.record.questions or change --config.test_share'
          )

  def sites(self) -> list[activations.Site]:
    """The recorded sites, ordered by stream, token and layer."""
    layers = self._wanted.layers or range(self._layers())
    return [
      activations.Site(layer, stream, token)
      for stream in self._wanted.streams
      for token in self._wanted.tokens
      for layer in layers
    ]

  def _layers(self):
    names = store.sites(self._folder, next(iter(self._named.values())))
    return 1 + max(int(name.partition('.')[0][1:]) for name in names)

  def load(self, site: str) -> mixtures.Samples:
    """The samples of a site, padded to the size of the largest task."""
    x = None
    for t, (name, group) in enumerate(self._named.items()):
      value = store.activations(self._folder, group, site)
      if not np.isfinite(value).all():
        row, column = np.argwhere(~np.isfinite(value))[0]
        raise ValueError(
          f'{name} at {site}: activations must be finite, answer {row} has '
          f'{value[row, column]} in feature {column}; record it again in '
          'float32'
        )
      if x is None:
        x = np.zeros((*self._y.shape, value.shape[1]), np.float32)
      x[t, : len(value)] = value
    return mixtures.Samples(
      jnp.array(x),
      jnp.array(self._y),
      jnp.array(self._train),
      jnp.array(self._test),
      jnp.array(self._group),
    )


def held_out(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
  """A mask that holds out whole groups, about `share` of them.

  A hash of the group's name and the seed decides, so that every task agrees.
  """

  def number(group):
    digest = hashlib.sha256(f'{seed}/{group}'.encode()).digest()
    return int.from_bytes(digest[:8], 'big') / 2**64

  names, inverse = np.unique(groups, return_inverse=True)
  return np.array([number(name) < share for name in names])[inverse]


def _cost(wanted: record.Recording, model: transformer.TransformerConfig):
  """The lines that `--dry_run` prints about a recording."""
  answers = len(wanted.tasks) * wanted.questions
  sites = len(wanted.sites(model))
  held = answers * sites * model.width * jnp.dtype(wanted.dtype).itemsize
  return [
    f'answers: {answers:,} of {len(wanted.tasks)} tasks, {sites} sites each',
    f'activations on disk: {held / 1e9:.3g} GB, {wanted.dtype}',
    # One pass to answer, and one to read the sites.
    f'FLOPs of answering and reading a token: {4 * model.parameters():.3g}',
  ]
