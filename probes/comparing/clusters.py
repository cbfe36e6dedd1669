"""Do activations cluster by task first, and by correctness hardly at all?

Section 6 of docs/papers/probes.md: the numbers beside a t-SNE picture. On the
host, with scikit-learn (the extra `probes`).

Distances and variances belong to the basis: standardise the pooled activations
first, or one feature of huge scale decides.

Its threads wait for one another by spinning: where another program has one of
the cores a t-SNE of 360 points takes 44 seconds instead of 1. So it has one.

Shapes: N samples of all tasks together, D width.
"""

from typing import NamedTuple

import numpy as np
import threadpoolctl
from jaxtyping import Array, Float, Int
from sklearn import (
  cluster,
  decomposition,
  linear_model,
  manifold,
  metrics,
  model_selection,
  neighbors,
  pipeline,
  preprocessing,
)

_FOLDS = 5
_COMPONENTS = 50

_one_thread = threadpoolctl.threadpool_limits.wrap(limits=1)

Matrix = Float[np.ndarray | Array, 'N D']
# As long as x; a message of our own says so.
Groups = Int[np.ndarray | Array, ' _']


class Accuracy(NamedTuple):
  """Held-out shares of samples whose task was told from the activations.

  Attributes:
    ridge: by a linear classifier, least squares with a ridge.
    centroid: by the nearest mean of a task.
  """

  ridge: float
  centroid: float


class Report(NamedTuple):
  """What speaks for clusters of tasks, beside the same for correctness.

  Attributes:
    tasks: how many.
    samples: of all tasks together.
    task_accuracy: held out, of the linear classifier.
    task_centroid_accuracy: held out, of the nearest mean.
    task_silhouette: in [-1, 1]; 0 for clusters that lie in one another.
    label_silhouette: of correct and wrong answers as two clusters.
    task_share: between tasks' share of the variance, in [0, 1].
    label_share: the same between correct and wrong answers.
    task_rand: adjusted Rand index of k-means, one cluster a task, against the
      tasks; 1 for equal, 0 for chance.
    label_rand: of the same clusters against the labels.
  """

  tasks: int
  samples: int
  task_accuracy: float
  task_centroid_accuracy: float
  task_silhouette: float
  label_silhouette: float
  task_share: float
  label_share: float
  task_rand: float
  label_rand: float


def _checked(x, *groups):
  x = np.asarray(x, np.float32)
  if not np.isfinite(x).all():
    raise ValueError(
      f'activations must be finite, {int((~np.isfinite(x)).sum())} numbers '
      'are not'
    )
  groups = [np.asarray(group) for group in groups]
  for group in groups:
    if group.shape != x.shape[:1]:
      raise ValueError(
        f'one group a row of x is needed: {x.shape[0]} rows, groups of shape '
        f'{group.shape}'
      )
    if len(np.unique(group)) < 2:
      raise ValueError(
        f'at least two groups are needed, all {len(group)} rows are of one'
      )
  return x, *groups


@_one_thread
def task_accuracy(x: Matrix, task: Groups, *, seed: int = 0) -> Accuracy:
  """How well the task is told, over five stratified folds.

  Features are standardised on the training folds. The linear classifier is
  scikit-learn's RidgeClassifier, in closed form; beside it NearestCentroid.

  Raises:
    ValueError: if a task has fewer samples than there are folds.
  """
  x, task = _checked(x, task)
  ids, counts = np.unique(task, return_counts=True)
  if counts.min() < _FOLDS:
    raise ValueError(
      f'every task needs at least {_FOLDS} samples, one a fold; task '
      f'{ids[counts.argmin()]} has {counts.min()}'
    )
  folds = model_selection.StratifiedKFold(
    _FOLDS, shuffle=True, random_state=seed
  )

  def accuracy(classifier):
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), classifier)
    told = model_selection.cross_val_predict(model, x, task, cv=folds)
    return float(np.mean(told == task))

  return Accuracy(
    ridge=accuracy(linear_model.RidgeClassifier()),
    centroid=accuracy(neighbors.NearestCentroid()),
  )


@_one_thread
def silhouette(
  x: Matrix, group: Groups, *, limit: int = 4000, seed: int = 0
) -> float:
  """Mean silhouette of the groups; of `limit` rows, drawn by `seed`, at most.

  The time is quadratic in the rows.
  """
  x, group = _checked(x, group)
  if len(x) > limit:
    rows = np.random.default_rng(seed).permutation(len(x))[:limit]
    x, group = x[rows], group[rows]
  return float(metrics.silhouette_score(x, group))


def between_share(x: Matrix, group: Groups) -> float:
  """tr(S_B) / tr(S_T): the variance of the groups' means, of the whole.

  Groups that say nothing have `chance_share`. NaN where x does not vary.
  """
  x, group = _checked(x, group)
  x = x.astype(np.float64)
  centred = x - x.mean(axis=0)
  total = np.sum(centred**2)
  between = sum(
    np.sum(group == g) * np.sum(centred[group == g].mean(axis=0) ** 2)
    for g in np.unique(group)
  )
  return float(between / total) if total > 0 else float('nan')


def chance_share(groups: int, samples: int) -> float:
  """Mean `between_share` of shuffled groups: (G - 1) / (N - 1)."""
  return (groups - 1) / (samples - 1)


@_one_thread
def kmeans(x: Matrix, clusters: int, *, seed: int = 0) -> np.ndarray:
  """Cluster ids [N], the best of ten starts."""
  model = cluster.KMeans(clusters, n_init=10, random_state=seed)
  return model.fit_predict(np.asarray(x, np.float32))


@_one_thread
def embedding_2d(
  x: Matrix, *, seed: int = 0, perplexity: float = 30.0
) -> np.ndarray:
  """A picture: the first 50 principal components, then t-SNE; [N, 2].

  Distances between clusters in it mean nothing; the numbers above do.

  Raises:
    ValueError: if there are not three times as many samples as `perplexity`.
  """
  (x,) = _checked(x)
  if len(x) < 3 * perplexity:
    raise ValueError(
      f'perplexity {perplexity} needs at least {int(3 * perplexity)} samples, '
      f'got {len(x)}; lower perplexity'
    )
  components = min(_COMPONENTS, *x.shape)
  if components < x.shape[1]:
    pca = decomposition.PCA(components, random_state=seed)
    x = pca.fit_transform(x)
  tsne = manifold.TSNE(
    perplexity=perplexity,
    init='pca' if x.shape[1] >= 2 else 'random',
    random_state=seed,
  )
  return tsne.fit_transform(x)


def report(x: Matrix, task: Groups, y: Groups, seed: int = 0) -> Report:
  """All the numbers of section 6.

  Args:
    x: activations of all tasks, any float dtype, standardised by the caller.
    task: ids, at least two, five samples each or more.
    y: 1 for a correct answer, else 0; both occur.
    seed: of folds, k-means and the silhouette's sample.

  Raises:
    ValueError: saying what is missing.
  """
  x, task, y = _checked(x, task, y)
  if set(np.unique(y).tolist()) != {0, 1}:
    raise ValueError(f'y must be 0 or 1, got {np.unique(y)[:5].tolist()}')
  tasks = len(np.unique(task))
  accuracy = task_accuracy(x, task, seed=seed)
  found = kmeans(x, tasks, seed=seed)
  return Report(
    tasks=tasks,
    samples=len(x),
    task_accuracy=accuracy.ridge,
    task_centroid_accuracy=accuracy.centroid,
    task_silhouette=silhouette(x, task, seed=seed),
    label_silhouette=silhouette(x, y, seed=seed),
    task_share=between_share(x, task),
    label_share=between_share(x, y),
    task_rand=float(metrics.adjusted_rand_score(task, found)),
    label_rand=float(metrics.adjusted_rand_score(y, found)),
  )
