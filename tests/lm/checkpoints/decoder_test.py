"""One way to open a decoder: a GGUF is parsed once."""

import json
import pathlib
import shutil
import tempfile
from unittest import mock

import gguf
import jax
import numpy as np
from absl.testing import absltest

from lm.checkpoints import decoder, pretrained_tokenizer, weights
from tests import files
from tests.lm.checkpoints import tokenizer_support as support


class DecoderTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def gguf(self):
    path = self.folder / 'tiny.gguf'
    support.write_gguf(path, fields=support.byte_fields())
    return path

  def test_a_gguf_is_parsed_once(self):
    path = self.gguf()
    with mock.patch.object(gguf, 'GGUFReader', wraps=gguf.GGUFReader) as reader:
      found = decoder.open_decoder(path)
    self.assertEqual(reader.call_count, 1)
    self.assertEqual(
      found.tokenizer.fingerprint,
      pretrained_tokenizer.CheckpointTokenizer.load(path).fingerprint,
    )
    jax.tree.map(
      np.testing.assert_array_equal,
      found.params,
      weights.load(path, fused=True).params,
    )

  def test_a_folder_that_holds_a_gguf_opens(self):
    path = self.gguf()
    want = decoder.open_decoder(path)
    shutil.copy(files.TOKENS / 'tokenizer_config.json', self.folder)
    found = decoder.open_decoder(self.folder)
    self.assertEqual(found.config, want.config)
    self.assertEqual(found.tokenizer.fingerprint, want.tokenizer.fingerprint)
    load = pretrained_tokenizer.CheckpointTokenizer.load
    self.assertEqual(load(self.folder).fingerprint, want.tokenizer.fingerprint)
    shutil.copy(path, self.folder / 'other.gguf')
    for opened in (decoder.open_decoder, load, weights.load):
      with self.assertRaisesRegex(
        weights.CheckpointError, 'one .gguf file, found other.gguf, tiny.gguf'
      ):
        opened(self.folder)

  def test_safetensors_come_before_a_gguf_beside_them(self):
    self.gguf()
    for name in ('config.json', 'model.safetensors'):
      shutil.copy(files.PEERS / 'llama' / name, self.folder)
    shutil.copy(files.TOKENS / 'tokenizer.json', self.folder)
    found = decoder.open_decoder(self.folder)
    self.assertEqual(found.config.vocab_size, 61)
    self.assertEqual(
      found.tokenizer.vocab_size, support.load(files.TOKENS).vocab_size
    )

  def test_precision_and_what_a_config_may_say(self):
    found = decoder.open_decoder(self.gguf(), dtype='bfloat16', what='x.y')
    self.assertEqual(found.params['embedding'].dtype, 'bfloat16')
    self.assertEqual(
      (found.config.dtype, found.config.fused), ('bfloat16', True)
    )
    shutil.copytree(files.PEERS / 'qwen2', self.folder / 'dream')
    file = self.folder / 'dream' / 'config.json'
    file.write_text(
      json.dumps(json.loads(file.read_text()) | {'model_type': 'Dream'})
    )
    with self.assertRaisesRegex(
      ValueError, 'x.y=.*must be a decoder, came a masked-diffusion.*dream'
    ):
      decoder.open_decoder(self.folder / 'dream', what='x.y')


if __name__ == '__main__':
  absltest.main()
