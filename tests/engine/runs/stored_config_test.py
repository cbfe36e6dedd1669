"""What may differ where a run is resumed."""

import pathlib
import tempfile

from absl.testing import absltest, parameterized

from engine.runs import stored_config, writer

BEFORE = {
  'experiment': 'lacy.free_running',  # as it was called before it moved
  'run': {'steps': 10, 'keep': 2, 'log_every': 5, 'eval_every': 5},
  'mesh': {'data': -1, 'fsdp': 1},
  'optim': {'peak_lr': 0.1},
}


class StoredConfigTest(parameterized.TestCase):
  def check(self, **changes):
    """Checks the config of before with {'section.key': value} changed."""
    now = {
      name: dict(value) if isinstance(value, dict) else value
      for name, value in BEFORE.items()
    }
    now['experiment'] = 'lacy.cascade.experiment'
    for key, value in changes.items():
      section, _, name = key.partition('__')
      now.setdefault(section, {})[name] = value
    with tempfile.TemporaryDirectory() as made:
      workdir = pathlib.Path(made)
      stored_config.check(workdir, now)  # a new run
      writer.write_json(workdir / stored_config.NAME, BEFORE)
      stored_config.check(workdir, now)

  @parameterized.parameters(
    {},
    {'run__keep': 9},
    {'run__log_every': 1},
    {'run__steps': 11},
    {'mesh__data': 2, 'mesh__fsdp': 4},
    {'mesh__model': 2},
  )
  def test_may_change(self, **changes):
    self.check(**changes)

  @parameterized.parameters(
    ({'run__steps': 9}, r'run\.steps was 10, is 9'),
    ({'run__steps': 10.5}, r'run\.steps was 10, is 10.5'),
    ({'run__eval_every': 2}, r'run\.eval_every was 5, is 2'),
    ({'optim__peak_lr': 0.2}, r'optim\.peak_lr was 0\.1, is 0\.2'),
    ({'data__seed': 1}, r"data\.seed was 'absent', is 1"),
    ({'run__seed': 3}, r"run\.seed was 'absent', is 3"),
  )
  def test_may_not_change(self, changes, message):
    with self.assertRaisesRegex(
      ValueError, rf'another config \({message}\).*run\.keep.*mesh.*run\.steps'
    ):
      self.check(**changes, run__keep=9)  # which may, and is not listed

  def test_an_empty_config_is_named(self):
    with tempfile.TemporaryDirectory() as made:
      (pathlib.Path(made) / stored_config.NAME).touch()
      with self.assertRaisesRegex(ValueError, r'config\.json .*is empty'):
        stored_config.check(pathlib.Path(made), BEFORE)


if __name__ == '__main__':
  absltest.main()
