"""What a comparison should show, as margins over seeds, from its summaries.

docs/papers/probes.md section 7. A claim's name says which sign or size would
make it hold (engine/report/claims.py).
"""

import functools
import re
from collections.abc import Callable, Mapping

from engine.report import claims as claims_lib

Summary = claims_lib.Summary

_GROUP = re.compile(r'(.+)/clusters/task_accuracy$')


def columns(group: str, what: str = '') -> tuple[tuple[str, str, str], ...]:
  """What a sweep shows of a group's best site: key, heading, format."""
  wanted = (
    ('ridge/own', 'own'),
    ('ridge/transfer', 'transfer'),
    ('ridge/cosine', 'cosine'),
    ('ridge/mahalanobis', 'Mahalanobis'),
    ('mixture/tasks_pooled', 'others pooled'),
    ('sparse/jaccard@50', 'Jaccard of 50'),
    ('sparse/chance@50', 'its chance'),
  )
  return tuple(
    (f'{group}/{key}', f'{heading}{what}', '.3f') for key, heading in wanted
  )


def _text(group: str) -> str:
  """The baseline that has read as much: the answer too, or not."""
  return 'text_and_answer' if 'answer' in group else 'text'


def _of(key: str) -> Callable[[Summary, str], float]:
  return lambda run, group: run[f'{group}/{key}']


def _less(key: str, other: str) -> Callable[[Summary, str], float]:
  return lambda run, group: run[f'{group}/{key}'] - run[f'{group}/{other}']


CLAIMS: Mapping[str, Callable[[Summary, str], float]] = {
  'a probe answers its own task (own AUROC less 0.5, > 0)': (
    lambda run, group: run[f'{group}/ridge/own'] - 0.5
  ),
  'better than the text it has read (own less TF-IDF, > 0)': (
    lambda run, group: run[f'{group}/ridge/own'] - run[_text(group)]
  ),
  'better than the answer length (own less length, > 0)': (
    lambda run, group: run[f'{group}/ridge/own'] - run['length']
  ),
  'not another task (own less transfer, > 0)': _less(
    'ridge/own', 'ridge/transfer'
  ),
  'transfer is at chance (transfer less 0.5, about 0)': (
    lambda run, group: run[f'{group}/ridge/transfer'] - 0.5
  ),
  'of what is above chance, transfer keeps (about 0)': _of('ridge/recovered'),
  'directions are far apart (mean cosine, < 0.5)': _of('ridge/cosine'),
  'in raw activations too (mean cosine, < 0.5)': _of('ridge/cosine_raw'),
  'cosine tells transfer (correlation, > 0; theirs 0.59)': _of(
    'ridge/by_cosine'
  ),
  'Mahalanobis tells it better (its correlation less that, > 0)': _less(
    'ridge/by_mahalanobis', 'ridge/by_cosine'
  ),
  'supports at chance (Jaccard of 50 less chance, about 0)': _less(
    'sparse/jaccard@50', 'sparse/chance@50'
  ),
  'supports overlap little (Jaccard of 50, < 0.15)': _of('sparse/jaccard@50'),
  'other tasks do not replace its own (pooled others less own, < 0)': _less(
    'mixture/tasks_pooled', 'ridge/own'
  ),
  'nor combined probes (best of three less own, < 0)': (
    lambda run, group: (
      max(
        run[f'{group}/mixture/probes_{form}']
        for form in ('stacked', 'gated', 'routed')
      )
      - run[f'{group}/mixture/own']
    )
  ),
  'a mixture is at chance (pooled others less 0.5, about 0)': (
    lambda run, group: run[f'{group}/mixture/tasks_pooled'] - 0.5
  ),
  'tasks are told apart linearly (task accuracy, about 1)': _of(
    'clusters/task_accuracy'
  ),
  'activations cluster by task (task silhouette less label, > 0)': _less(
    'clusters/task_silhouette', 'clusters/label_silhouette'
  ),
  'and not by label (label silhouette, about 0)': _of(
    'clusters/label_silhouette'
  ),
  'one support costs AUROC (own less one of 50, > 0)': _less(
    'mixture/own_support_50', 'mixture/bound/one_support_50'
  ),
}


def groups(run: Summary) -> list[str]:
  """Groups of sites that a summary has a best one of."""
  return [match[1] for key in run if (match := _GROUP.match(key))]


def claims(summaries: claims_lib.Summaries) -> dict[str, list[float]]:
  """[mean, lowest, highest] over seeds, by '<variant>: <group>: <claim>'.

  A claim whose figures a run does not have, or which are undefined, is left
  out.
  """
  out = {}
  for variant, runs in summaries.items():
    of_groups = {
      f'{variant}: {group}: {name}': functools.partial(claim, group=group)
      for group in groups(runs[0])
      for name, claim in CLAIMS.items()
    }
    out |= claims_lib.over(of_groups, runs)
  return out
