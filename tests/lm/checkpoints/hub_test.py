"""Names of models: local first, then assets, then the hub."""

import contextlib
import fnmatch
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


class Repository:
  """A repository of a hub, which writes what is asked of it."""

  def __init__(self, folder, files):
    self.folder = pathlib.Path(folder) / 'snapshot'
    self._files, self.asked = files, []

  def snapshot_download(self, name, allow_patterns):
    self.asked.append((name, allow_patterns))
    self.folder.mkdir(exist_ok=True)
    for file in self._files:
      if any(fnmatch.fnmatch(file, pattern) for pattern in allow_patterns):
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return str(self.folder)

  def list_repo_files(self, name):
    return list(self._files)

  def names(self):
    """The files that were downloaded."""
    files = (path for path in self.folder.rglob('*') if path.is_file())
    return sorted(str(path.relative_to(self.folder)) for path in files)


@contextlib.contextmanager
def fake_hub(repository):
  """A huggingface_hub with one repository; None: the library is missing."""
  module = None
  if repository is not None:
    module = types.ModuleType('huggingface_hub')
    module.__spec__ = importlib.machinery.ModuleSpec('huggingface_hub', None)
    module.snapshot_download = repository.snapshot_download
    module.list_repo_files = repository.list_repo_files
  with mock.patch.dict(sys.modules, {'huggingface_hub': module}):
    if module is None:
      with mock.patch('importlib.util.find_spec', return_value=None):
        yield
    else:
      yield repository


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
    repository = self.repository('model.safetensors', 'config.json')
    self.assertEqual(hub.resolve('org/model'), repository.folder)
    ((name, patterns),) = repository.asked
    self.assertEqual(name, 'org/model')
    for pattern in ('*.bin', '*.pt', '*.pth', '*.pkl', '*'):
      self.assertNotIn(pattern, patterns)

  def repository(self, *files):
    """A hub with one repository of these files, empty ones."""
    return self.enter_context(fake_hub(Repository(self.folder, files)))

  def test_safetensors_come_before_gguf(self):
    repository = self.repository('model.safetensors', 'a.gguf', 'b.gguf')
    self.assertEqual(hub.resolve('org/model'), repository.folder)
    self.assertEqual(repository.names(), ['model.safetensors'])

  def test_the_one_gguf_of_a_repository(self):
    repository = self.repository('config.json', 'model.gguf', 'model.bin')
    self.assertEqual(hub.resolve('org/model'), repository.folder / 'model.gguf')
    self.assertEqual(repository.names(), ['config.json', 'model.gguf'])

  def test_several_are_listed_and_not_downloaded(self):
    repository = self.repository('q4.gguf', 'deep/q8.gguf')
    with self.assertRaisesRegex(
      FileNotFoundError, 'found deep/q8.gguf, q4.gguf.*org/model/deep/q8.gguf'
    ):
      hub.resolve('org/model')
    self.assertEmpty(repository.names())
    for file in ('deep/q8.gguf', 'q4.gguf'):
      self.assertEqual(
        hub.resolve(f'org/model/{file}'), repository.folder / file
      )
    self.assertEqual(repository.names(), ['deep/q8.gguf', 'q4.gguf'])

  def test_no_hub(self):
    with (
      fake_hub(None),
      self.assertRaisesRegex(
        FileNotFoundError, 'no asset of that name.*pip install huggingface_hub'
      ),
    ):
      hub.resolve('org/model')

  def test_hub_out_of_reach(self):
    repository = mock.Mock()
    repository.snapshot_download.side_effect = OSError('no route')
    with (
      fake_hub(repository),
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
