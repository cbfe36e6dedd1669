"""Small GGUF files and folders for the tests of tokenizers."""

import json
import pathlib
import shutil
import tempfile

import gguf
from absl.testing import parameterized

from lm.checkpoints import pretrained_tokenizer
from tests import files

PEER = json.loads((files.TOKENS / 'peer.json').read_text('utf-8'))
TEXTS = PEER['texts']
SCORES = json.loads((files.TOKENS / 'scores.json').read_text('utf-8'))
CONTROL, USER_DEFINED = 3, 4
load = pretrained_tokenizer.CheckpointTokenizer.load


def byte_fields(**changes):
  """The metadata of the byte-level peer; None takes a key away."""
  full = json.loads((files.TOKENS / 'tokenizer.json').read_text('utf-8'))
  vocab = full['model']['vocab']
  tokens = sorted(vocab, key=vocab.get)
  fields = dict(
    model='gpt2',
    pre='smollm',
    tokens=tokens,
    token_type=[CONTROL] * 3 + [1] * (len(tokens) - 3),
    merges=[' '.join(pair) for pair in full['model']['merges']],
    bos_token_id=0,
    eos_token_id=2,
    chat_template=json.loads(
      (files.TOKENS / 'tokenizer_config.json').read_text()
    )['chat_template'],
  )
  return fields | changes


def score_fields(**changes):
  """The metadata of the peer with scores."""
  return (
    dict(
      model='llama',
      pre='default',
      **SCORES,
      bos_token_id=1,
      eos_token_id=2,
      unknown_token_id=0,
    )
    | changes
  )


class Case(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def gguf(self, fields):
    """A GGUF without tensors that holds these fields."""
    path = self.folder / 'tokens.gguf'
    writer = gguf.GGUFWriter(path, 'llama')
    for name, value in fields.items():
      key = 'tokenizer.' + ('' if name == 'chat_template' else 'ggml.') + name
      if isinstance(value, bool):
        writer.add_bool(key, value)
      elif isinstance(value, str):
        writer.add_string(key, value)
      elif isinstance(value, int):
        writer.add_uint32(key, value)
      elif value is not None:
        writer.add_array(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path

  def copy(self, **changes):
    """The peer's folder with its tokenizer_config.json changed."""
    out = self.folder / 'copy'
    shutil.copytree(files.TOKENS, out)
    file = out / 'tokenizer_config.json'
    config = json.loads(file.read_text()) | changes
    config = {k: v for k, v in config.items() if v is not None}
    file.write_text(json.dumps(config))
    return out
