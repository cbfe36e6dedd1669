"""Names of models: local first, then assets, then the hub."""

import contextlib
import importlib.machinery
import os
import pathlib
import sys
import tempfile
import types
from unittest import mock

from absl.testing import absltest

from engine import assets
from lm.checkpoints import hub


@contextlib.contextmanager
def fake_hub(answer):
  """A huggingface_hub whose snapshot_download is `answer`; None: missing."""
  module = None
  if answer is not None:
    module = types.ModuleType('huggingface_hub')
    module.__spec__ = importlib.machinery.ModuleSpec('huggingface_hub', None)
    module.snapshot_download = answer
  with mock.patch.dict(sys.modules, {'huggingface_hub': module}):
    if module is None:
      with mock.patch('importlib.util.find_spec', return_value=None):
        yield
    else:
      yield


class ResolveTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = self.enter_context(tempfile.TemporaryDirectory())
    self.enter_context(contextlib.chdir(self.folder))

  def test_local_wins_over_asset_and_hub(self):
    for name in ('smollm2_135m_instruct', 'org/model'):
      os.makedirs(name)
      self.assertEqual(hub.resolve(name), pathlib.Path(name))

  def test_asset(self):
    with mock.patch.object(assets, 'fetch', return_value='found') as fetch:
      self.assertEqual(
        hub.resolve('gemma3_270m', accept_licence='gemma'), 'found'
      )
    fetch.assert_called_once_with('gemma3_270m', accept_licence='gemma')

  def test_hub_is_asked_last_and_never_for_pickles(self):
    asked = []

    def download(name, allow_patterns):
      asked.append((name, allow_patterns))
      return '/there'

    with fake_hub(download):
      self.assertEqual(hub.resolve('org/model'), pathlib.Path('/there'))
    ((name, patterns),) = asked
    self.assertEqual(name, 'org/model')
    for pattern in ('*.bin', '*.pt', '*.pth', '*.pkl', '*'):
      self.assertNotIn(pattern, patterns)

  def test_no_hub(self):
    with (
      fake_hub(None),
      self.assertRaisesRegex(
        FileNotFoundError, 'no asset of that name.*pip install huggingface_hub'
      ),
    ):
      hub.resolve('org/model')

  def test_hub_out_of_reach(self):
    def download(name, allow_patterns):
      raise OSError('no route')

    with (
      fake_hub(download),
      self.assertRaisesRegex(
        FileNotFoundError, 'did not serve org/model: no route'
      ),
    ):
      hub.resolve('org/model')

  def test_neither_path_nor_asset_nor_repository(self):
    with self.assertRaisesRegex(FileNotFoundError, 'smollm2_135m_instruct'):
      hub.resolve('smollm')


if __name__ == '__main__':
  absltest.main()
