"""A run that an earlier release finished or left still opens."""

import pathlib
import shutil
import tempfile

import jax
from absl.testing import absltest

from engine import checkpoint
from engine import mesh as mesh_lib
from engine.runs import finished, moved, stored_config
from lacy import plots
from launch import setup
from tests import files


class OldWorkdirTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.workdir = folder / 'run'
    shutil.copytree(files.FIXTURES / 'lacy', self.workdir)
    self.run = finished.open_run(self.workdir)

  def test_its_config_builds_and_resumes(self):
    asked = setup.ask(self.run.config)
    stored_config.check(self.workdir, asked.values)
    program, _ = asked.experiment.abstract()
    mesh = mesh_lib.make(asked.mesh)
    boxed = jax.eval_shape(program.init, jax.random.key(0))
    shardings = mesh_lib.state_shardings(mesh, boxed)
    abstract = jax.tree.map(
      lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
      mesh_lib.unbox(boxed),
      shardings,
    )
    with checkpoint.Checkpoints(self.workdir, keep=None) as checkpoints:
      state, data = checkpoints.resume(abstract)
    self.assertEqual(int(state.step), self.run.summary['steps'])
    self.assertIn('position', data)

  def test_it_is_drawn(self):
    figures = [p for p in plots.draw(self.workdir) if p.suffix == '.png']
    self.assertNotEmpty(figures)
    for path in figures:
      self.assertGreater(path.stat().st_size, 5_000)

  def test_experiments_that_moved_are_found(self):
    path = self.workdir / 'config.json'
    text = path.read_text()
    self.assertIn('"lacy.experiment"', text)
    for old, new in moved.EXPERIMENTS.items():
      path.write_text(text.replace('lacy.experiment', old))
      config = finished.open_run(self.workdir).config
      self.assertEqual(config['experiment'], new)


if __name__ == '__main__':
  absltest.main()
