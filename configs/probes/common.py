"""Parts that configs of probes share."""

from ml_collections import ConfigDict

from configs import common

# `right/<task>` in docs/results/probes_smollm2.json says how often they are.
TASKS = (
  'capital',
  'continent',
  'currency',
  'neighbour',
  'addition_1',
  'multiplication_1',
  'maximum',
  'opposites',
  'plurals',
  'past_tense',
  'commonsense_qa',
  'open_book_qa',
)


def probes(**changes) -> ConfigDict:
  """How probes are fitted, see probes.compare.Settings."""
  return ConfigDict(
    dict(
      ridge_at=0.0,
      ridge_lambdas=5,
      ridge_ratio=1e-4,
      sparse_at=0.0,
      sparse_lambdas=30,
      sparse_ratio=1e-2,
      folds=3,
      supports=(10, 25, 50, 100),
      draws=1000,
    )
    | changes
  )


def recorded(
  *, model: str, tasks: tuple[str, ...], questions: int, **changes
) -> ConfigDict:
  """A comparison of probes on a model's own answers."""
  c = ConfigDict()
  c.experiment = 'probes.experiment'
  # See probes.recording.Recording.
  c.record = ConfigDict(
    dict(
      model=model,
      tasks=tasks,
      questions=questions,
      seed=0,
      layers=(),
      streams=('resid_post',),
      tokens=('last_prompt', 'last_answer'),
      dtype='bfloat16',
      compute='float32',
      max_new_tokens=8,
      by_byte=True,
      file=210,
      batch=32,
      folder='',
      accept_licence='',
    )
    | changes
  )
  c.probes = probes()
  # Of each task's questions, by what they are about.
  c.test_share = 0.4
  # A task that is right less or more often is left out, and said so.
  c.least = 0.2
  c.most = 0.8
  c.run = common.run(steps=1, eval_every=0)
  c.mesh = common.mesh()
  return c
